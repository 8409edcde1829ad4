//! A file's text to items, with line and column of everything that is wrong.

use std::{
    fmt::{self, Display, Formatter},
    fs, io,
    path::Path,
};

use anyhow::Context as _;
use serde::{Deserialize as _, de::IntoDeserializer as _};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    check,
    fleet::Fleet,
    model::{Id, Item, Kind, Model},
};

/// The table of what is followed besides.
const FLEET: &str = "fleet";
/// The name that stands for the standard input.
const STDIN: &str = "-";

/// What is right.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// What it has.
    pub model: Model,
    /// Where the rest comes from.
    pub fleet: Option<Fleet>,
}

/// An item, and where it begins in the text, in bytes.
#[derive(Debug)]
pub struct Placed {
    /// The item.
    pub item: Item,
    /// Where.
    pub at: usize,
}

/// What is wrong somewhere in the text.
#[derive(Debug)]
pub struct Problem {
    /// Where, in bytes.
    pub at: usize,
    /// Cause and remedy.
    pub message: String,
}

/// What a text holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// Items that could be read.
    pub items: Vec<Placed>,
    /// Where the rest comes from.
    pub fleet: Option<Fleet>,
    /// Items that could not be read, as far as they tell their name: nothing is said of those that need them.
    pub unread: Vec<Id>,
    /// Why not, and what else is wrong.
    pub problems: Vec<Problem>,
}

/// All that is wrong with a file, a line for each.
#[derive(Debug, thiserror::Error)]
pub struct Problems {
    file: String,
    /// Line, column, message.
    list: Vec<(usize, usize, String)>,
}

impl Problems {
    /// Where (file, line and column), and what.
    pub fn places(&self) -> impl Iterator<Item = (String, String)> {
        let file = &self.file;
        let place = move |(line, column, message): &(usize, usize, String)| {
            (format!("{file}:{line}:{column}"), message.clone())
        };
        self.list.iter().map(place)
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.list.len() > 1 {
            writeln!(f, "{} has {} errors", self.file, self.list.len())?;
        }
        for (number, (line, column, message)) in self.list.iter().enumerate() {
            let end = if number + 1 < self.list.len() { "\n" } else { "" };
            write!(f, "{}:{line}:{column}: {message}{end}", self.file)?;
        }
        Ok(())
    }
}

/// Reads and checks a file; `-` is the standard input.
///
/// # Errors
/// It cannot be read, or something in it is wrong: all of it is told.
pub fn read(path: &Path) -> anyhow::Result<File> {
    let text = if path == Path::new(STDIN) {
        io::read_to_string(io::stdin())
    } else {
        fs::read_to_string(path)
    };
    let name = path.display().to_string();
    let text = text.with_context(|| format!("cannot read {name}; name a file of TOML"))?;
    Ok(parse(&name, &text)?)
}

/// Reads and checks a text; `name` is what errors call it.
///
/// # Errors
/// Something in it is wrong: all of it is told.
pub fn parse(name: &str, text: &str) -> Result<File, Problems> {
    let mut contents = contents(text);
    let found = check::all(&contents, |at| position(text, at).0);
    contents.problems.extend(found);
    if contents.problems.is_empty() {
        let model = contents.items.into_iter().map(|it| (it.item.id(), it.item)).collect();
        return Ok(File { model, fleet: contents.fleet });
    }
    contents.problems.sort_by_key(|problem| problem.at);
    let list = contents.problems.into_iter().map(|Problem { at, message }| {
        let (line, column) = position(text, at);
        // What it quotes of the text may hold anything, and each problem has one line.
        (line, column, message.replace(char::is_control, "?"))
    });
    Err(Problems { file: name.to_owned(), list: list.collect() })
}

fn contents(text: &str) -> Contents {
    let (table, syntax_errors) = DeTable::parse_recoverable(text);
    let mut contents = Contents::default();
    if !syntax_errors.is_empty() {
        // What follows one may not be what was meant.
        contents.problems = syntax_errors.iter().map(|error| problem(error, 0)).collect();
        return contents;
    }
    for (key, value) in table.into_inner() {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == key.get_ref().as_ref());
        if key.get_ref() == FLEET && value.get_ref().is_table() {
            contents.read_fleet(value, key.span().start);
            continue;
        }
        match (kind, value.into_inner()) {
            (Some(kind), DeValue::Array(list)) => {
                for value in list {
                    contents.read(kind, value);
                }
            }
            (kind, _) => {
                let message = misplaced(kind, key.get_ref());
                contents.problems.push(Problem { at: key.span().start, message });
            }
        }
    }
    contents
}

impl Contents {
    fn read(&mut self, kind: Kind, value: Spanned<DeValue<'_>>) {
        let (at, name) = (value.span().start, name_of(value.get_ref()));
        if !value.get_ref().is_table() {
            self.problems.push(Problem { at, message: misplaced(Some(kind), kind.name()) });
            return;
        }
        match kind.read(value.into_deserializer()) {
            Ok(item) => self.items.push(Placed { item, at }),
            Err(error) => {
                let mut problem = problem(&error, at);
                if let Some(name) = name {
                    let id = Id { kind, name };
                    problem.message = format!("{id}: {}", problem.message);
                    self.unread.push(id);
                }
                self.problems.push(problem);
            }
        }
    }

    fn read_fleet(&mut self, value: Spanned<DeValue<'_>>, at: usize) {
        let read = Fleet::deserialize(value.into_deserializer());
        let checked = read.map_err(|error| problem(&error, at)).and_then(|fleet| {
            let problem = |error: anyhow::Error| Problem { at, message: error.to_string() };
            fleet.check().map_err(problem).map(|()| fleet)
        });
        match checked {
            Ok(fleet) => self.fleet = Some(fleet),
            Err(Problem { at, message }) => {
                self.problems.push(Problem { at, message: format!("{FLEET}: {message}") });
            }
        }
    }
}

fn name_of(value: &DeValue<'_>) -> Option<String> {
    value.get("name")?.get_ref().as_str().map(str::to_owned)
}

fn misplaced(kind: Option<Kind>, key: &str) -> String {
    if key == FLEET {
        return format!("{key} is a table; write [{key}], once");
    }
    if let Some(kind) = kind {
        return format!("{key} is a list of tables; write [[{}]], once for each", kind.name());
    }
    let tables = Kind::ALL.map(|kind| format!("[[{}]]", kind.name())).join(", ");
    format!("unknown field `{key}`; a file has {tables}, [{FLEET}]")
}

/// An error; `of` is where what it is about begins.
fn problem(error: &toml::de::Error, of: usize) -> Problem {
    let at = error.span().map_or(of, |span| span.start);
    // Some messages have a line for what was expected.
    Problem { at, message: error.message().replace('\n', "; ") }
}

/// Line and column, in characters, of the byte at an offset. Both begin with 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    let number = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    (number, before[line..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::{File, parse};

    const GOOD: &str = "\
[[tunnel]]
name = \"t\"
local = \"192.0.2.1\"
remote = \"192.0.2.2\"

[[tenant]]
name = \"blue\"
key = 10
tunnels = [\"t\"]
";

    #[track_caller]
    fn refused(text: &str, expected: &[&str]) {
        let problems = parse("f", text).expect_err("a problem").to_string();
        let mut lines: Vec<_> = problems.lines().collect();
        if expected.len() > 1 {
            assert_eq!(lines.remove(0), format!("f has {} errors", expected.len()));
        }
        assert_eq!(lines, expected, "{problems}");
    }

    #[test]
    fn what_is_right_is_read() {
        assert_eq!(parse("f", GOOD).expect("right").model.len(), 2);
        assert_eq!(parse("f", "").expect("right"), File::default());
        let fleet = "[fleet]\nendpoints = [\"192.0.2.9:2379\"]\nhost = \"a\"\nhold = 60\n";
        let fleet = parse("f", &format!("{fleet}{GOOD}")).expect("right").fleet.expect("a fleet");
        assert_eq!((fleet.host.as_deref(), fleet.hold), (Some("a"), Some(60)));
    }

    #[test]
    fn syntax_is_told_alone() {
        let text = GOOD.replace("tunnels = [\"t\"]", "colour = 7").replace("key = 10", "key = ");
        let message = "f:8:7: string values must be quoted, expected literal string";
        refused(&text, &[message]);
    }

    #[test]
    fn fields_are_told_where_they_are() {
        let of_tenant = "expected one of `name`, `key`, `in-key`, `out-key`, `second-in-key`, `no-key`, `tunnels`, `service`, `allow-source`, `rate`";
        for (from, to, message) in [
            (
                "key = 10",
                "key = 10\ncolour = 7",
                &*format!("f:9:1: tenant blue: unknown field `colour`, {of_tenant}"),
            ),
            ("\"192.0.2.1\"", "\"192.0.2\"", "f:3:9: tunnel t: invalid IP address syntax"),
            ("local = \"192.0.2.1\"", "", "f:1:1: tunnel t: missing field `local`"),
            (
                "key = 10",
                "in-key = 10",
                "f:6:1: tenant blue: in-key and out-key go together; give both",
            ),
            (
                "[[tenant]]",
                "[tenant]",
                "f:6:2: tenant is a list of tables; write [[tenant]], once for each",
            ),
            (
                "[[tenant]]",
                "[[tenants]]",
                "f:6:3: unknown field `tenants`; a file has [[tunnel]], [[tenant]], [[port]], [[route]], [[fdb]], [[neigh]], [[transit]], [fleet]",
            ),
        ] {
            assert!(GOOD.contains(from));
            refused(&GOOD.replacen(from, to, 1), &[message]);
        }
    }

    #[test]
    fn columns_are_characters() {
        let text = "tunnel = [{ name = \"\u{e9}\u{e9}\", local = 7 }]";
        let message = "f:1:34: tunnel \u{e9}\u{e9}: invalid type: integer `7`, expected IP address";
        refused(text, &[message]);
    }

    #[test]
    fn of_a_fleet_is_told_the_same() {
        for (text, message) in [
            ("[fleet]\nhost = \"a\"\n", "f:1:1: fleet: missing field `endpoints`"),
            (
                "[fleet]\nendpoints = []\n",
                "f:1:2: fleet: endpoints: name the members of the etcd cluster",
            ),
            (
                "[fleet]\nendpoints = [\"a\"]\nuser = \"b\"\n",
                "f:1:2: fleet: user and password go together; give both",
            ),
            (
                "[fleet]\nendpoints = 7\n",
                "f:2:13: fleet: invalid type: integer `7`, expected a sequence",
            ),
            ("[[fleet]]\nendpoints = []\n", "f:1:3: fleet is a table; write [fleet], once"),
        ] {
            refused(text, &[message]);
        }
    }

    #[test]
    fn a_name_with_a_line_break_is_told_in_one_line() {
        refused("[[tunnel]]\nname = \"a\\nb\"\n", &["f:1:1: tunnel a?b: missing field `local`"]);
    }

    /// Nobody is told that a tunnel is missing whose address is wrong.
    #[test]
    fn one_cause_is_told_once() {
        let text = GOOD.replace("192.0.2.2", "x");
        refused(&text, &["f:4:10: tunnel t: invalid IP address syntax"]);
    }

    #[test]
    fn every_item_is_looked_at() {
        let text = format!("{GOOD}colour = 7\n[[port]]\ntenant = \"red\"\nname = \"a b\"\n");
        let of_tenant = "expected one of `name`, `key`, `in-key`, `out-key`, `second-in-key`, `no-key`, `tunnels`, `service`, `allow-source`, `rate`";
        refused(
            &text,
            &[
                &format!("f:10:1: tenant blue: unknown field `colour`, {of_tenant}"),
                "f:11:1: port a b: \"a b\" cannot be the name of an interface; use 1 to 15 bytes without spaces and slashes",
                "f:11:1: port a b: there is no tenant red in this file; add a [[tenant]] of this name, or name another",
            ],
        );
    }
}
