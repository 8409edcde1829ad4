//! Writes the manual pages and shell completions of `xgre`: `manual FOLDER` puts them where they lie below a
//! prefix such as `/usr`.

use std::{
    fs,
    io::Result,
    path::{Path, PathBuf},
};

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use gre_user::cli::Cli;

/// Where a shell looks for completions, and what it calls them.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "share/bash-completion/completions/xgre"),
    (Shell::Zsh, "share/zsh/vendor-completions/_xgre"),
    (Shell::Fish, "share/fish/vendor_completions.d/xgre.fish"),
];

fn main() -> Result<()> {
    let prefix = std::env::args_os().nth(1).map(PathBuf::from).expect("usage: manual FOLDER");
    for (shell, path) in COMPLETIONS {
        let mut text = Vec::new();
        generate(shell, &mut Cli::command(), "xgre", &mut text);
        write(&prefix.join(path), &text)?;
    }
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    pages(&command, &prefix.join("share/man/man8"))
}

/// A page for a command, and one for each below it.
fn pages(command: &Command, folder: &Path) -> Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, folder)?;
    }
    let source = concat!("xgre ", env!("CARGO_PKG_VERSION"));
    let page = Man::new(command.clone()).section("8").source(source).manual("xgre");
    let mut text = Vec::new();
    page.render(&mut text)?;
    write(&folder.join(page.get_filename()), &text)
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().expect("a file in a folder"))?;
    fs::write(path, text)
}
