//! What a run has found: as values, as a table, as JSON.

pub(crate) mod against;
pub(crate) mod compare;
pub(crate) mod figures;
pub(crate) mod memory;
pub(crate) mod model;
pub(crate) mod page;
pub(crate) mod series;
pub(crate) mod server_log;
pub(crate) mod table;

use std::fs;
use std::path::Path;

use model::{Bound, Report};

/// A report as JSON.
pub(crate) fn json(report: &Report) -> Result<String, String> {
    let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

/// Reads a report that was written as [`json`].
pub(crate) fn read_json(path: &Path) -> Result<Report, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut report: Report = serde_json::from_str(&text)
        .map_err(|error| format!("{} is no report of loadtest: {error}", path.display()))?;
    if report.schema != model::SCHEMA {
        let path = path.display();
        return Err(format!("{path} has schema {}, not {}", report.schema, model::SCHEMA));
    }
    if report.is_loader_bound && report.bound == Bound::Server {
        // Of a program that did not tell it apart.
        report.bound = Bound::Loader;
    }
    Ok(report)
}
