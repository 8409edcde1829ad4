//! A chapter that is run, on two hosts `a` and `b` with a wire between them.

use testbed::{Background, Daemon, Host, OpenVswitch, etcd, suite::Need, two_hosts};

use super::{
    blocks::{Block, blocks, xgre_commands},
    read,
};

/// Names of the hosts: `eth0` of `a` has 192.0.2.1/24, that of `b` 192.0.2.2/24.
pub const HOSTS: [&str; 2] = ["a", "b"];

/// A chapter, and what it takes to run it.
pub struct Story {
    pub chapter: &'static str,
    before: Option<&'static str>,
    needs: [Option<Need>; 2],
}

impl Story {
    /// Of a chapter that begins with nothing but the hosts.
    pub const fn of(chapter: &'static str) -> Self {
        Self { chapter, before: None, needs: [None, None] }
    }

    /// It goes on where another chapter ended.
    pub const fn after(self, chapter: &'static str) -> Self {
        Self { before: Some(chapter), ..self }
    }

    pub const fn needs(self, need: Need) -> Self {
        Self { needs: [Some(need), None], ..self }
    }

    pub const fn needs_too(self, need: Need) -> Self {
        Self { needs: [self.needs[0], Some(need)], ..self }
    }

    pub fn all_needs(&self) -> impl Iterator<Item = Need> {
        self.needs.into_iter().flatten()
    }

    /// Runs all its blocks.
    pub fn run(&self) {
        let (a, b) = two_hosts();
        // Where it is needed, it is on `b`.
        let switch = self.all_needs().any(|need| need == Need::OpenVswitch);
        let switch = switch.then(|| OpenVswitch::start(&b.ns));
        // Where it is needed, it is on `a`.
        let store = self.all_needs().any(|need| need == Need::Program("etcd"));
        let _store = store.then(|| etcd::Alone::start(&a.ns, "192.0.2.1"));
        let mut hosts = [&a, &b].map(|host| Actor { host, switch: None, going_on: Vec::new() });
        hosts[1].switch = switch.as_ref();
        for chapter in self.before.iter().chain([&self.chapter]) {
            for block in blocks(chapter, &read(chapter)) {
                act(&mut hosts, &block);
            }
        }
        for actor in hosts {
            actor.going_on.into_iter().rev().for_each(|(_, command)| command.end());
        }
    }
}

fn act(hosts: &mut [Actor<'_>; 2], block: &Block) {
    if block.language == "toml" {
        if let Some(name) = block.words.first() {
            for actor in &*hosts {
                actor.host.put(name, &block.text);
            }
        }
    }
    let named = HOSTS.iter().position(|name| block.has(name));
    if let (true, Some(index)) = (block.is_shell(), named) {
        println!("{}", block.place);
        if block.has("stays") {
            hosts[index].stay(block);
        } else {
            hosts[index].run(block);
        }
    }
}

/// A host, and what goes on there by its verb.
struct Actor<'h> {
    host: &'h Host,
    switch: Option<&'h OpenVswitch<'h>>,
    going_on: Vec<(String, Command)>,
}

impl Actor<'_> {
    fn run(&mut self, block: &Block) {
        self.end_those_in(block);
        let outcome = self.host.shell(&block.text, self.switch);
        assert!(outcome.status.success(), "docs/{}: {outcome}", block.place);
        print!("{}", outcome.stdout);
    }

    /// Ends commands that the block has anew.
    fn end_those_in(&mut self, block: &Block) {
        let commands = xgre_commands(&block.text);
        let is_anew = |verb: &str| commands.iter().any(|words| words[1] == verb);
        for (_, command) in self.going_on.extract_if(.., |(verb, _)| is_anew(verb)) {
            command.end();
        }
    }

    /// Starts a command that goes on.
    fn stay(&mut self, block: &Block) {
        self.end_those_in(block);
        let [words] = &xgre_commands(&block.text)[..] else {
            panic!("docs/{}: one command goes on, no more", block.place)
        };
        let (verb, args) = (words[1].clone(), words[1..].join(" "));
        let command = match verb.as_str() {
            "run" => Command::Daemon(self.host.start(words[2..].join(" ").as_str())),
            "events" => Command::Other(self.host.background(&args, "following")),
            _ => Command::Other(self.host.background(&args, "capturing")),
        };
        self.going_on.push((verb, command));
    }
}

enum Command {
    Daemon(Daemon),
    Other(Background),
}

impl Command {
    /// As Ctrl-C does it.
    fn end(self) {
        match self {
            Self::Daemon(daemon) => daemon.stop(),
            Self::Other(command) => print!("{}", command.interrupt()),
        }
    }
}
