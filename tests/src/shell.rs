//! A shell on a host, as a user would type into it.

use std::{fs, path::PathBuf};

use crate::{
    command::{self, Outcome},
    host::{Host, xgre_binary},
    ovs::OpenVswitch,
};

impl Host {
    /// Runs a script of several lines in the host's [folder](Self::folder); it ends with the first command that fails, and says which.
    /// `xgre` is the one under test and works on the host's state; Open vSwitch's tools speak to `switch`.
    pub fn shell(&self, script: &str, switch: Option<&OpenVswitch<'_>>) -> Outcome {
        let binary = xgre_binary();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = binary.parent().map(PathBuf::from).into_iter();
        let folders = folders.chain(std::env::split_paths(&path));
        let mut command = command::bounded("bash");
        command
            .args(["-e", "-x", "-o", "pipefail", "-c", script])
            .current_dir(self.folder())
            .env("PATH", std::env::join_paths(folders).expect("a path without colons"))
            .env("XGRE_STATE", self.state());
        if let Some(switch) = switch {
            command.env("OVS_RUNDIR", switch.run_dir());
        }
        command::run(self.ns.enter(&mut command))
    }

    /// Puts a file where shells run.
    pub fn put(&self, name: &str, text: &str) {
        let path = self.folder().join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
