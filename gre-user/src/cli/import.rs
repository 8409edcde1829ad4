//! `xgre import`

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use toml::Table;

use super::output::{self, JSON_VERSION};
use crate::{
    config::{export, file, model::Model},
    import::{self, Import, Note, Steps},
    netlink::Netlink,
};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// The kernel's GRE devices in this network namespace, with their addresses and routes.
    Ip(IpArgs),
    /// Open vSwitch's GRE ports, by its database and flows; the environment's `OVS_RUNDIR` says where its sockets are.
    Ovs(Form),
}

#[derive(Debug, clap::Args)]
pub struct IpArgs {
    /// Call new devices like the old ones with this behind it: both are there while you go over, and nothing is lost.
    /// Without, they have the old names, and the old devices have to go first.
    #[arg(long, default_value = "", value_name = "TEXT", allow_hyphen_values = true, value_parser = suffix)]
    suffix: String,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, clap::Args)]
pub struct Form {
    /// Print the same as JSON, with what could not be carried over.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    #[serde(flatten)]
    tables: BTreeMap<&'static str, Vec<Table>>,
    steps: &'a Steps,
    notes: &'a [Note],
}

/// The end of an interface's name.
fn suffix(text: &str) -> Result<String, &'static str> {
    const MAX: usize = 8;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.len() > MAX || !text.bytes().all(is_plain) {
        return Err("expected at most 8 letters, digits, dots, dashes and underscores");
    }
    Ok(text.to_owned())
}

pub async fn run(verb: Verb) -> anyhow::Result<()> {
    let netlink = Netlink::connect()?;
    let (import, form, nothing) = match verb {
        Verb::Ip(IpArgs { suffix, form }) => {
            let import = import::ip::read(&netlink, &suffix).await?;
            (import, form, "this network namespace has no GRE device that can be carried over")
        }
        Verb::Ovs(form) => {
            let import = import::ovs::read(&netlink).await?;
            (import, form, "Open vSwitch has no GRE port that can be carried over")
        }
    };
    print(&import, &form)?;
    ensure!(
        !import.model.is_empty(),
        "{nothing}; run this on the host, and in the network namespace, where the tunnels end"
    );
    Ok(())
}

fn print(import: &Import, form: &Form) -> anyhow::Result<()> {
    let Import { model, steps, notes, .. } = import;
    if form.json {
        let tables = export::tables(model)?;
        return output::json(&Document { version: JSON_VERSION, tables, steps, notes });
    }
    for note in notes {
        let note = note.to_string().replace(char::is_control, "?");
        eprintln!("xgre: not carried over: {note}");
    }
    if model.is_empty() {
        return Ok(());
    }
    output::print(&text(model, steps)?.trim_end())
}

/// The file, with the steps as comments.
fn text(model: &Model, steps: &Steps) -> anyhow::Result<String> {
    let Steps { before, run, after } = steps;
    let mut text = String::new();
    let run = std::slice::from_ref(run);
    for (heading, commands) in [("First:", before.as_slice()), ("Then:", run), ("Then:", after)] {
        if commands.is_empty() {
            continue;
        }
        writeln!(text, "# {heading}")?;
        for command in commands {
            writeln!(text, "#   {command}")?;
        }
    }
    write!(text, "\n{}", export::text(model)?)?;
    // Whoever runs the first steps relies on the file.
    file::parse("the file", &text).context(
        "what was read makes no configuration; this is a mistake of xgre's, please report it",
    )?;
    Ok(text)
}
