//! What a run has found: as values, as a table, as JSON.

pub(crate) mod against;
pub(crate) mod compare;
pub(crate) mod figures;
pub(crate) mod model;
mod page;
pub(crate) mod server_log;
pub(crate) mod table;

use std::fs;
use std::path::Path;

use model::Report;

/// Writes a report as JSON.
pub(crate) fn write_json(report: &Report, path: &Path) -> Result<(), String> {
    let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
    fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes a report as a page.
pub(crate) fn write_html(report: &Report, path: &Path) -> Result<(), String> {
    fs::write(path, page::render(report)).map_err(|error| format!("{}: {error}", path.display()))
}

/// Reads a report that [`write_json`] has written.
pub(crate) fn read_json(path: &Path) -> Result<Report, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let report: Report = serde_json::from_str(&text)
        .map_err(|error| format!("{} is no report of loadtest: {error}", path.display()))?;
    if report.schema != model::SCHEMA {
        let path = path.display();
        return Err(format!("{path} has schema {}, not {}", report.schema, model::SCHEMA));
    }
    Ok(report)
}
