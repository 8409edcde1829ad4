//! What one run has found, in a file: a report may be made of several runs, on several kernels.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::conditions::Clock;
use crate::bench::row::Row;

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// When it was made, in seconds since 1970.
    pub time: u64,
    /// What its times are.
    pub clock: Clock,
    /// Names and values, in the order in which they are shown.
    pub conditions: Vec<(String, String)>,
    /// Results.
    pub rows: Vec<Row>,
}

impl Run {
    /// A condition.
    pub fn condition(&self, name: &str) -> &str {
        let found = self.conditions.iter().find(|(other, _)| other == name);
        found.map_or("unknown", |(_, value)| value)
    }

    /// Where it is kept: a name of kernel and command, so that the same again replaces it.
    pub fn file_name(&self) -> String {
        let words = format!("{} {}", self.condition("kernel"), self.condition("arguments"));
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let name: String = words.chars().map(plain).collect();
        let parts: Vec<_> = name.split('-').filter(|part| !part.is_empty()).collect();
        parts.join("-") + ".json"
    }

    /// Keeps it.
    pub fn save(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(self.file_name());
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// All that are kept in a folder, the oldest first.
    pub fn load_all(folder: &Path) -> Result<Vec<Self>> {
        let mut runs = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let read = || anyhow::Ok(serde_json::from_str(&fs::read_to_string(&path)?)?);
            runs.push(read().with_context(|| format!("{} is no run", path.display()))?);
        }
        runs.sort_by_key(|run: &Self| run.time);
        Ok(runs)
    }
}
