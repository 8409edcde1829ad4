//! A frame in hexadecimal, plain or as a dump prints it.

use crate::trace::{Error, Result};

/// Bytes of the longest frame: that of the longest IP packet, with room for headers around it.
const LONGEST: usize = 1 << 17;

/// Digits of the shortest offset: that of tcpdump.
const OFFSET_DIGITS: usize = 4;

/// Reads the bytes of one frame: plain, or a dump as `xxd`, `tcpdump -xx` and `tcpdump -XX` print it. There lines begin with an
/// offset and a colon, and may end, behind two spaces, with the same in characters; other lines tell of the packet.
///
/// # Errors
/// It is something else, or several frames.
pub fn read(text: &str) -> Result<Vec<u8>> {
    let frame = all_bytes(text)?;
    match frame.len() {
        0 => Err(Error::Hex("there are no bytes".to_owned())),
        1..=LONGEST => Ok(frame),
        bytes => Err(Error::Hex(format!("{bytes} bytes are no frame"))),
    }
}

fn all_bytes(text: &str) -> Result<Vec<u8>> {
    let dump: Vec<_> = text.lines().filter_map(dumped).collect();
    if dump.is_empty() {
        return bytes(text);
    }
    let mut frame = Vec::new();
    for (offset, line) in dump {
        if offset != frame.len() {
            let (due, found) = (frame.len(), "there is offset");
            return Err(Error::Hex(format!(
                "{found} {offset:#x} where {due:#x} is due, in one frame"
            )));
        }
        frame.extend(bytes(line)?);
    }
    Ok(frame)
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    let mut digits = String::new();
    for word in text.split_whitespace() {
        let word = word.strip_prefix("0x").unwrap_or(word);
        if !word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::Hex(format!("{word:?} is not hexadecimal")));
        }
        digits += word;
    }
    if !digits.len().is_multiple_of(2) {
        return Err(Error::Hex(format!("there are {} digits, an odd number", digits.len())));
    }
    let pairs = digits.as_bytes().chunks_exact(2);
    Ok(pairs.map(|pair| value(pair[0]) << 4 | value(pair[1])).collect())
}

/// Offset and bytes of a line of a dump; `None`: it does not begin with an offset.
fn dumped(line: &str) -> Option<(usize, &str)> {
    let (offset, rest) = line.trim_start().split_once(':')?;
    let digits = offset.strip_prefix("0x").unwrap_or(offset);
    let offset =
        usize::from_str_radix(digits, 16).ok().filter(|_| digits.len() >= OFFSET_DIGITS)?;
    let rest = rest.trim_start();
    Some((offset, rest.split_once("  ").map_or(rest, |(bytes, _characters)| bytes)))
}

const fn value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn plain_and_dumped() {
        let expected: Vec<u8> = (0x41..0x53).collect();
        for text in [
            "4142434445464748494a4b4c4d4e4f505152",
            "41 42 43 44 45 46 47 48\n49 4A 4B 4C 4D 4E 4F 50  51 52\n",
            "0x41 0x42 434445464748494a4b4c4d4e4f505152",
            "00000000: 4142 4344 4546 4748 494a 4b4c 4d4e 4f50  ABCDEFGHIJKLMNOP\n00000010: 5152  QR\n",
            "12:00:01.5 IP 10.0.0.1 > 10.0.0.2: ICMP\n\t0x0000:  4142 4344 4546 4748 494a 4b4c 4d4e 4f50\n\t0x0010:  5152\n",
            "\t0x0000:  4142 4344 4546 4748 494a 4b4c 4d4e 4f50  ABCDEFGHIJKLMNOP\n\t0x0010:  5152                                     QR\n",
        ] {
            assert_eq!(read(text).expect(text), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for (text, word) in [
            ("", "no bytes"),
            (" \n", "no bytes"),
            ("414", "odd"),
            ("41 4g", "\"4g\""),
            ("12:00:01.5 IP 10.0.0.1 > 10.0.0.2", "12:00:01.5"),
            ("0000: 4142\n0000: 4142", "0x0 where 0x2"),
            ("\u{e9}\u{e9}", "hexadecimal"),
        ] {
            let message = read(text).expect_err(text).to_string();
            assert!(message.contains(word), "{text}: {message}");
        }
    }
}
