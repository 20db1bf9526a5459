//! What the options come to: those of the library, and those of the program around it.

use std::path::PathBuf;
use std::str::FromStr;

use throng::config::{AllowedHosts, Config, ListenAddr};

use super::secret::Secret;

/// Everything that the program is started with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// What the library takes.
    pub(crate) config: Config,
    /// How the log is written.
    pub(crate) log: LogSettings,
    /// What is for operators.
    pub(crate) operator: OperatorSettings,
    /// Whether what is for operators is served on the listeners of clients too.
    pub(crate) api_public: bool,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// The least important lines that are written.
    pub(crate) level: LogLevel,
    /// What a line looks like.
    pub(crate) format: LogFormat,
}

/// The port for operators: metrics, health, and what servers ask and tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OperatorSettings {
    /// Where it listens; `None` is nowhere.
    pub(crate) listen: Option<ListenAddr>,
    /// What requests must bring; once all is read, also where it came from a file.
    pub(crate) key: Option<Secret>,
    /// The file that the key is in.
    pub(crate) key_file: Option<PathBuf>,
    /// Hosts that requests may be for; `None` is literal addresses and localhost.
    pub(crate) allowed_hosts: Option<AllowedHosts>,
    /// Whether there are metrics.
    pub(crate) metrics: bool,
    /// Whether metrics need the key, where there is one.
    pub(crate) metrics_key: bool,
}

impl Default for OperatorSettings {
    fn default() -> Self {
        Self {
            listen: Some("127.0.0.1:8081".parse().expect("it is an address")),
            key: None,
            key_file: None,
            allowed_hosts: None,
            metrics: true,
            metrics_key: true,
        }
    }
}

/// The least important lines that are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogLevel {
    /// What failed.
    Error,
    /// What somebody should look at.
    Warn,
    /// Start, stop, and what was decided by itself.
    #[default]
    Info,
    /// Details for who looks for a fault.
    Debug,
    /// Everything.
    Trace,
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: an object in each line.
    Json,
}

impl LogLevel {
    /// Their words.
    pub(crate) const WORDS: &[&str] = &["error", "warn", "info", "debug", "trace"];

    /// The word for it.
    pub(crate) const fn name(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

impl LogFormat {
    /// Their words.
    pub(crate) const WORDS: &[&str] = &["text", "json"];
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];
        let found = all.into_iter().find(|level| level.name() == text);
        found.ok_or_else(|| "error, warn, info, debug or trace is needed".into())
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("text or json is needed".into()),
        }
    }
}
