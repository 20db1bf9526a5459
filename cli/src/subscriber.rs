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
    #[cfg_attr(not(test), expect(dead_code, reason = "a reload calls it"))]
    pub(crate) fn set(&self, level: LogLevel) {
        if !self.is_overruled {
            // It fails where the subscriber is gone, and then nobody logs.
            let _ = self.filter.reload(EnvFilter::new(level.name()));
        }
    }
}

/// Starts to log: `RUST_LOG` or else the level decides what.
pub(crate) fn start(log: &Log, settings: LogSettings) -> LevelHandle {
    let level = settings.level.name();
    let wish = std::env::var("RUST_LOG").ok().filter(|wish| !wish.is_empty());
    let wished = wish.as_deref().map(EnvFilter::try_new);
    let complaint =
        wished.as_ref().and_then(|wished| wished.as_ref().err().map(ToString::to_string));
    let wished = wished.and_then(Result::ok);
    let is_overruled = wished.is_some();
    let (filter, handle) = reload::Layer::new(wished.unwrap_or_else(|| EnvFilter::new(level)));
    let writer = log.clone();
    let lines = fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_writer(move || writer.clone())
        .log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(filter);
    match settings.format {
        LogFormat::Text => registry.with(lines).init(),
        LogFormat::Json => registry.with(lines.json().with_span_list(false)).init(),
    }
    if let Some(complaint) = complaint {
        tracing::warn!("RUST_LOG is not understood ({complaint}): the level is {level}");
    }
    LevelHandle { filter: handle, is_overruled }
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
