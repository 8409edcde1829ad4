//! docs/commands.md is what the command line says of itself. `XGRE_WRITE=1 cargo test -p gre-user --test commands` writes it anew.

use std::{env, fs};

use clap_markdown::{MarkdownOptions, help_markdown_custom};
use gre_user::cli::Cli;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/commands.md");

const HEAD: &str = "\
# Commands

What `xgre --help` and `xgre COMMAND --help` say, in one place. `man xgre` has it too where the package is installed.
";

#[test]
fn the_reference_is_that_of_the_command() {
    let options = MarkdownOptions::new()
        .title("Commands".to_owned())
        .show_footer(false)
        .show_table_of_contents(true);
    let reference = help_markdown_custom::<Cli>(&options);
    let (_, reference) =
        reference.split_once("**Command Overview:**").expect("a table of contents");
    let reference = format!("{HEAD}{}", reference.replace("###### ", "").replace('↴', ""));
    if env::var_os("XGRE_WRITE").is_some() {
        fs::write(DOCUMENT, &reference).expect("docs/commands.md");
    }
    let found = fs::read_to_string(DOCUMENT).unwrap_or_default();
    assert!(
        found == reference,
        "docs/commands.md is of another command line: see the first line of this file"
    );
}
