//! What is logged, and what a line looks like. Where lines go is not known here.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::log::Log;
use crate::options::{LogFormat, LogLevel, LogSettings};

/// Changes what is logged while the server runs.
#[derive(Clone, Debug)]
pub(crate) struct LevelHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    /// Whether `RUST_LOG` says what is logged, which is for this run.
    is_overruled: bool,
}

impl LevelHandle {
    /// Logs from this level on, unless `RUST_LOG` has been set.
    pub(crate) fn set(&self, level: LogLevel) {
        if !self.is_overruled {
            // It fails where the subscriber is gone, and then nobody logs.
            let _ = self.filter.reload(EnvFilter::new(level.name()));
        }
    }
}

/// Starts to log: `RUST_LOG` or else the level decides what.
pub(crate) fn start(log: &Log, settings: LogSettings) -> LevelHandle {
    let wish = std::env::var("RUST_LOG").ok().filter(|wish| !wish.is_empty());
    let wished = wish.as_deref().map(EnvFilter::try_new).transpose();
    let complaint = wished.as_ref().err().map(ToString::to_string);
    let (filter, handle) = filter(wished.ok().flatten(), settings.level);
    let writer = log.clone();
    let lines = fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_writer(move || writer.clone())
        .log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(filter);
    match settings.format {
        LogFormat::Text => registry.with(lines).init(),
        LogFormat::Json => registry.with(lines.json().with_ansi(false)).init(),
    }
    if let Some(complaint) = complaint {
        let level = settings.level.name();
        tracing::warn!("RUST_LOG is not understood ({complaint}): the level is {level}");
    }
    handle
}

/// What decides, and what changes it.
fn filter(
    wished: Option<EnvFilter>,
    level: LogLevel,
) -> (reload::Layer<EnvFilter, Registry>, LevelHandle) {
    let is_overruled = wished.is_some();
    let filter = wished.unwrap_or_else(|| EnvFilter::new(level.name()));
    let (layer, handle) = reload::Layer::new(filter);
    (layer, LevelHandle { filter: handle, is_overruled })
}

/// A line that the program writes whatever is logged, as all other lines look.
pub(crate) fn own_line(format: LogFormat, text: &str) -> String {
    match format {
        LogFormat::Text => format!("throng: {text}\n"),
        LogFormat::Json => {
            let mut timestamp = String::new();
            // A time before 1970 cannot be written, and stays away.
            let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
            let fields = serde_json::json!({ "message": text });
            let line = serde_json::json!({
                "timestamp": timestamp,
                "level": "ERROR",
                "fields": fields,
            });
            format!("{line}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::{Level, enabled, subscriber::with_default};

    use super::*;

    #[test]
    fn a_level_can_be_changed_unless_the_environment_has_said_it() {
        let (layer, handle) = filter(None, LogLevel::Warn);
        with_default(tracing_subscriber::registry().with(layer), || {
            assert!(enabled!(Level::WARN) && !enabled!(Level::DEBUG));
            handle.set(LogLevel::Debug);
            assert!(enabled!(Level::DEBUG) && !enabled!(Level::TRACE));
            handle.set(LogLevel::Error);
            assert!(enabled!(Level::ERROR) && !enabled!(Level::WARN));
        });
        let (layer, handle) = filter(Some(EnvFilter::new("warn")), LogLevel::Info);
        with_default(tracing_subscriber::registry().with(layer), || {
            handle.set(LogLevel::Debug);
            assert!(enabled!(Level::WARN) && !enabled!(Level::DEBUG));
        });
    }

    #[test]
    fn a_line_of_the_program_is_an_object_where_the_others_are() {
        assert_eq!(own_line(LogFormat::Text, "a\nb"), "throng: a\nb\n");
        let line = own_line(LogFormat::Json, "a \"b\"\nc");
        let object: serde_json::Value = serde_json::from_str(&line).expect(&line);
        assert_eq!(object["fields"]["message"], "a \"b\"\nc");
        assert_eq!(object["level"], "ERROR");
        assert!(object["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}
