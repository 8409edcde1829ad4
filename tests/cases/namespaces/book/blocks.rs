//! The fenced blocks of a chapter, and the commands in them.
//!
//! What stands behind the language says what becomes of a block:
//!
//! | fence | means |
//! |---|---|
//! | `sh,a` | a shell runs it on host `a` of the chapter's story |
//! | `sh,a,stays` | one command, which goes on until the story ends, or another block on the host has it again |
//! | `sh,norun` | it is not run; an HTML comment `not run: WHY` stands before it |
//! | `toml,NAME.toml` | a file in the folder where the next blocks run |

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

/// How a comment begins that says why a block is not run.
const REASON: &str = "<!-- not run: ";

/// A block and where it is.
#[derive(Debug)]
pub struct Block {
    pub language: String,
    /// The words behind the language.
    pub words: Vec<String>,
    pub text: String,
    /// `CHAPTER:LINE` of the fence.
    pub place: String,
    /// A reason stands before it.
    pub has_reason: bool,
}

impl Block {
    pub fn is_shell(&self) -> bool {
        ["sh", "bash", "console"].contains(&self.language.as_str())
    }

    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|it| it == word)
    }
}

/// All fenced blocks of a document.
pub fn blocks(name: &str, document: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let (mut is_inside, mut has_reason) = (false, false);
    for (event, range) in Parser::new(document).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let mut words = info.split([',', ' ']).map(str::to_owned);
                let line = document[..range.start].lines().count() + 1;
                found.push(Block {
                    language: words.next().unwrap_or_default(),
                    words: words.collect(),
                    text: String::new(),
                    place: format!("{name}:{line}"),
                    has_reason,
                });
                is_inside = true;
            }
            Event::Text(text) if is_inside => {
                found.last_mut().expect("a block has begun").text += &text;
            }
            Event::End(TagEnd::CodeBlock) => (is_inside, has_reason) = (false, false),
            Event::Html(html) => has_reason = html.starts_with(REASON),
            Event::Start(tag) if tag != Tag::HtmlBlock => has_reason = false,
            _ => {}
        }
    }
    found
}

/// Where a document's links and pictures lead, in order.
pub fn links(document: &str) -> Vec<String> {
    let target = |event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some(dest_url.into_string())
        }
        _ => None,
    };
    Parser::new(document).filter_map(target).collect()
}

/// The words of each `xgre ...` in a shell's text, without what is not `xgre`'s.
pub fn xgre_commands(text: &str) -> Vec<Vec<String>> {
    let lines = text.replace("\\\n", " ");
    let commands = lines.lines().flat_map(|line| {
        let words = shlex::split(line.trim_start_matches("$ "))
            .unwrap_or_else(|| panic!("not a line of a shell: {line}"));
        words.split(|word| ends_command(word)).map(<[String]>::to_vec).collect::<Vec<_>>()
    });
    commands.filter(|words| words.first().is_some_and(|word| word == "xgre")).collect()
}

/// Whether a shell's word is behind all words of a command.
fn ends_command(word: &str) -> bool {
    ["|", "||", "&&", "&", ";", ">", ">>", "<", "sudo"].contains(&word)
}
