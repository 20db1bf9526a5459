//! What becomes of changes while the server runs.

use super::combinations;
use super::definition::Reload;
use super::fault;
use super::file::Source;
use super::list;
use super::load::Inputs;
use super::settings::Settings;

/// What the file has come to say, as far as it can hold without another start.
#[derive(Debug)]
pub(crate) struct Reloaded {
    /// What holds from now on: options that need another start are as they were.
    pub(crate) settings: Settings,
    /// The options that have changed, and need another start for it.
    pub(crate) needs_restart: Vec<&'static str>,
}

impl Inputs {
    /// Reads the file again, for a server that runs with these settings.
    ///
    /// # Errors
    ///
    /// A line for each fault; the server is to go on as it is.
    pub(crate) fn reload(&self, running: &Settings) -> Result<Reloaded, Vec<String>> {
        if self.file == Some(Source::Stdin) {
            let line = "standard input cannot be read again: give the options in a file";
            return Err(vec![line.to_owned()]);
        }
        let mut all = self.load()?;
        let mut needs_restart = Vec::new();
        for option in list::all() {
            if let Reload::AtStart(keep) = option.reload
                && keep(&mut all.settings, running)
            {
                needs_restart.push(option.key);
            }
        }
        // The file may have closed a door together with its key, and the door stays.
        let doors = combinations::open_doors(&all);
        if doors.is_empty() {
            return Ok(Reloaded { settings: all.settings, needs_restart });
        }
        let mut lines = fault::lines(doors, &all.file.unwrap_or_default());
        lines
            .push(format!("these stay as they were until a restart: {}", needs_restart.join(", ")));
        Err(lines)
    }
}
