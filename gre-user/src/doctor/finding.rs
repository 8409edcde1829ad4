//! What a check says.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Packets are lost, or `xgre run` is refused.
    Error,
    /// Packets may be lost, or much of the speed.
    Warning,
    /// Good to know.
    Note,
    /// Nothing is wrong.
    Ok,
}

impl Display for Severity {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
            Self::Ok => "ok",
        })
    }
}

/// What is wrong with a subject, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong.
    pub cause: String,
    /// What to do: as a rule a command to type.
    pub remedy: String,
}

impl Trouble {
    /// A cause with its remedy.
    pub fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { cause: cause.into(), remedy: remedy.into() }
    }

    /// An error's message: "cause; remedy", or only the cause.
    pub fn of_message(message: &str, otherwise: &str) -> Self {
        let (cause, remedy) = message.split_once("; ").unwrap_or((message, otherwise));
        Self::new(cause, remedy)
    }
}

/// What a check says of a subject: that nothing is wrong, or what. `None`: it does not apply.
pub type Told = Option<Result<(), Trouble>>;

/// Nothing is wrong.
pub const FINE: Told = Some(Ok(()));

/// Nothing is wrong unless this is so.
pub fn when(wrong: bool, trouble: impl FnOnce() -> Trouble) -> Told {
    if wrong { Some(Err(trouble())) } else { FINE }
}

/// Something is wrong.
pub fn bad(cause: impl Into<String>, remedy: impl Into<String>) -> Told {
    Some(Err(Trouble::new(cause, remedy)))
}

/// Nothing is wrong unless there is a trouble.
pub fn found(trouble: Option<Trouble>) -> Told {
    Some(trouble.map_or(Ok(()), Err))
}

/// What a check found of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: an interface, a tunnel, a tenant.
    pub subject: String,
    /// What is wrong, or that nothing is.
    pub cause: String,
    /// What to do; `None` where nothing is wrong.
    pub remedy: Option<String>,
    /// The family of the check.
    #[serde(skip)]
    pub family: &'static str,
}
