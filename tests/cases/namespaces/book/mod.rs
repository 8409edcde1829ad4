//! What the book shows is run, line by line, on hosts in namespaces.
//!
//! - [`blocks`]: what there is to run in a chapter
//! - [`story`]: a chapter that is run from its first block to its last

mod blocks;
mod story;

use std::{fs, path::PathBuf};

use clap::CommandFactory as _;
use gre_user::cli::Cli;
use testbed::suite::{Case, Need};

use self::{
    blocks::{Block, blocks, links, xgre_commands},
    story::Story,
};

const STORIES: &[Story] = &[
    Story::of("quick-start.md"),
    Story::of("linux.md").needs(Need::Device("gre")).needs_too(Need::Device("gretap")),
    Story::of("open-vswitch.md").needs(Need::OpenVswitch),
    Story::of("configuration.md"),
    Story::of("capture.md").after("quick-start.md").needs(Need::Program("tcpdump")),
    Story::of("monitoring.md").after("quick-start.md"),
    Story::of("fleet.md").needs(Need::Program("etcd")).needs_too(Need::Program("etcdctl")),
    Story::of("keys.md").after("quick-start.md"),
    Story::of("shadow.md").needs(Need::Device("gre")),
    Story::of("trace.md").after("quick-start.md"),
    Story::of("doctor.md").after("quick-start.md"),
    Story::of("troubleshooting.md").after("quick-start.md").needs(Need::Program("tcpdump")),
];

pub fn cases() -> Vec<Case> {
    let stories = STORIES.iter().map(|story| {
        let case = Case::new(format!("book: {}", story.chapter), || story.run());
        story.all_needs().fold(case, Case::needs)
    });
    let all = [
        Case::new("book: every chapter is in its summary", summary),
        Case::new("book: every link leads to a file", linked),
        Case::new("book: every block of a shell is run, or says why not", run_or_not),
        Case::new("book: every command is one of xgre's", arguments),
    ];
    stories.chain(all).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"))
}

fn read(chapter: &str) -> String {
    let path = folder().join(chapter);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn chapters() -> Vec<String> {
    links(&read("SUMMARY.md"))
}

fn all_blocks() -> Vec<Block> {
    let all: Vec<_> =
        chapters().iter().flat_map(|chapter| blocks(chapter, &read(chapter))).collect();
    assert!(!all.is_empty());
    all
}

fn summary() {
    let chapters = chapters();
    let files = fs::read_dir(folder()).expect("the book's folder");
    for path in files.map(|file| file.expect("a file").path()) {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
        if path.extension().is_some_and(|it| it == "md") && name != "SUMMARY.md" {
            assert!(chapters.iter().any(|it| it == name), "docs/SUMMARY.md lacks {name}");
        }
    }
    for Story { chapter, .. } in STORIES {
        assert!(chapters.iter().any(|it| it == chapter), "docs/SUMMARY.md lacks {chapter}");
    }
}

/// Those of the documents of the root, too; other hosts are not asked.
fn linked() {
    let root = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];
    for document in root.map(|name| format!("../{name}")).into_iter().chain(chapters()) {
        let here = folder().join(&document);
        for link in links(&read(&document)).iter().filter(|link| !link.contains("://")) {
            let file = link.split('#').next().unwrap_or_default();
            let target = here.with_file_name(file);
            assert!(file.is_empty() || target.exists(), "{document}: {link}");
        }
    }
}

fn run_or_not() {
    for block in all_blocks().iter().filter(|block| block.is_shell()) {
        let Block { place, .. } = block;
        let is_told = STORIES.iter().any(|story| place.starts_with(story.chapter));
        match (block.has("norun"), story::HOSTS.iter().any(|host| block.has(host))) {
            (true, false) => {
                assert!(block.has_reason, "{place}: no comment says why it is not run");
            }
            (false, true) => assert!(is_told, "{place}: the chapter is not in `STORIES`"),
            _ => panic!("{place}: name the host that runs it, or say `norun`"),
        }
    }
}

fn arguments() {
    let mut command = Cli::command();
    let mut count = 0;
    let readme = blocks("README.md", &read("../README.md"));
    for block in all_blocks().iter().chain(&readme).filter(|block| block.is_shell()) {
        let has_variable = |words: &Vec<String>| words.iter().any(|word| word.contains('$'));
        for words in xgre_commands(&block.text).into_iter().filter(|it| !has_variable(it)) {
            let parsed = command.try_get_matches_from_mut(&words);
            assert!(parsed.is_ok(), "{}: {words:?}: {}", block.place, parsed.unwrap_err());
            count += 1;
        }
    }
    assert!(count > 0);
}
