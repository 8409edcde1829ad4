//! A frame meets the rule that says most about it, or none.

use gre_common::verdict::PassReason;

use super::{FOREIGN, with_other_padding};
use crate::support::{
    book::Book,
    plain::{self, Gre},
};

/// A frame where there are rules.
pub fn meets_its_rule(book: &Book, frame: &[u8]) {
    let met = book.number(frame);
    assert_eq!(book.number(frame), met, "decided otherwise the second time");
    if let Some(packet) = plain::ip_packet(frame).filter(|packet| packet.end <= frame.len()) {
        let other = with_other_padding(frame, packet.end);
        assert_eq!(book.number(&other[..]), met, "padding was read");
    }
    // Not read here: a fragment header, and headers that the decision leaves to the kernel.
    let Some(gre) = Gre::read(frame) else { return };
    match met {
        Ok(number) => {
            assert_eq!(gre.flags & FOREIGN, 0, "GRE flags");
            assert_eq!(best(book, &gre), Some(number), "another rule");
        }
        Err(PassReason::NoRule) => assert_eq!(best(book, &gre), None, "a rule is passed over"),
        Err(_) => {}
    }
}

fn best(book: &Book, gre: &Gre<'_>) -> Option<u32> {
    book.best(gre.key, [gre.destination(), gre.source()])
}
