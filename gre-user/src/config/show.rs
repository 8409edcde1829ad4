//! Changes, for people and for machines.

use serde::Serialize;
use toml::{Table, Value};

use super::{
    difference::Change,
    model::{Item, Kind},
};

/// A change, for machines.
#[derive(Debug, Serialize)]
pub struct Row {
    change: &'static str,
    kind: &'static str,
    name: String,
    /// Whether it is another one, and counted anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    anew: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Table>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Table>,
}

/// A change, for machines.
///
/// # Errors
/// A value has no form in TOML.
pub fn row(change: &Change) -> anyhow::Result<Row> {
    let id = change.id();
    let (word, anew, before, after) = match change {
        Change::Add(item) => ("add", None, None, Some(item)),
        Change::Delete(item) => ("delete", None, Some(item), None),
        Change::Modify { before, after } => ("change", Some(false), Some(before), Some(after)),
        Change::Remake { before, after } => ("change", Some(true), Some(before), Some(after)),
    };
    let table = |item: Option<&Item>| item.map(Item::brief).transpose();
    let (before, after) = (table(before)?, table(after)?);
    Ok(Row { change: word, kind: id.kind.name(), name: id.name, anew, before, after })
}

/// A change as a line: `~ tunnel to-b: ttl 64 -> 32`.
///
/// # Errors
/// A value has no form in TOML.
pub fn line(change: &Change) -> anyhow::Result<String> {
    let id = change.id();
    Ok(match change {
        Change::Add(item) => {
            let mut fields = item.brief()?;
            if id.kind != Kind::Transit {
                fields.remove("name");
            }
            let fields: Vec<_> =
                fields.iter().map(|(field, value)| format!("{field} {}", text(value))).collect();
            format!("+ {id}: {}", fields.join(", "))
        }
        Change::Delete(_) => format!("- {id}"),
        Change::Modify { before, after } => format!("~ {id}: {}", fields(before, after)?),
        Change::Remake { before, after } if before == after => {
            format!("~ {id}: made anew with what it needs")
        }
        Change::Remake { before, after } => {
            format!("~ {id}: {}; made anew", fields(before, after)?)
        }
    })
}

/// "ttl 64 -> 32, csum false -> true"
fn fields(before: &Item, after: &Item) -> anyhow::Result<String> {
    let (before, after) = (before.fields()?, after.fields()?);
    let mut names: Vec<_> = before.keys().collect();
    names.extend(after.keys().filter(|field| !before.contains_key(*field)));
    let names = names.into_iter().filter(|field| before.get(*field) != after.get(*field));
    let or_none = |value: Option<&Value>| value.map_or_else(|| "none".to_owned(), text);
    let changes = names.map(|field| {
        format!("{field} {} -> {}", or_none(before.get(field)), or_none(after.get(field)))
    });
    Ok(changes.collect::<Vec<_>>().join(", "))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(" "),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{difference::difference, file::parse};

    #[test]
    fn changes_are_lines() {
        let before = "
            tunnel = [
                { name = 'a', local = '192.0.2.1', remote = '192.0.2.2' },
                { name = 'b', local = '192.0.2.1', remote = '192.0.2.3', mtu = 1400 },
                { name = 'd', local = '192.0.2.1', remote = '192.0.2.4' },
            ]
            tenant = [{ name = 'blue', key = 10, tunnels = ['b'] }]
            port = [{ tenant = 'blue', name = 'blue0', create = true }]
            transit = [{ iface = 'eth0', key = 30, drop = true }]";
        let after = "
            tunnel = [
                { name = 'a', local = '192.0.2.1', remote = '192.0.2.2', ttl = 32, mss-clamp = false },
                { name = 'b', local = '192.0.2.1', remote = '192.0.2.3' },
                { name = 'c', local = '192.0.2.1', remote = '192.0.2.4', csum = true },
            ]
            tenant = [{ name = 'blue', no-key = true, tunnels = ['b'] }]
            port = [{ tenant = 'blue', name = 'blue0', create = true }]
            transit = [{ iface = 'eth0', key = 31, redirect = 'eth1' }]";
        let [before, after] = [before, after].map(|text| parse("f", text).expect("a file").model);
        let lines: Vec<_> =
            difference(&before, &after).iter().map(|it| super::line(it).expect("TOML")).collect();
        assert_eq!(
            lines,
            [
                "- transit rule for key 30 from any to any on eth0",
                "- tunnel d",
                "~ tunnel a: ttl 64 -> 32, mss-clamp true -> false",
                "~ tunnel b: mtu 1400 -> none",
                "~ tenant blue: key 10 -> none, no-key none -> true",
                "+ tunnel c: local 192.0.2.1, remote 192.0.2.4, csum true",
                "+ transit rule for key 31 from any to any on eth0: iface eth0, key 31, redirect eth1",
            ]
        );
    }
}
