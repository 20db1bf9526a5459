//! An option with what is given for it, and by what.

use throng::config::{RoomRules, Routes};

use super::definition::OptionDef;
use super::settings::Settings;

/// That an option is given. The value has been checked.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    /// Which option.
    pub(crate) option: &'static OptionDef,
    /// Its value.
    pub(crate) given: Given,
    /// What gives it.
    pub(crate) origin: Origin,
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    /// As a flag has it.
    Text(String),
    /// Paths with their rooms.
    Routes(Routes),
    /// Rules of rooms.
    Rooms(RoomRules),
}

/// What gives a value; what stands later wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// This line of the file.
    File(usize),
    /// A variable of the environment.
    Variable,
    /// A word of the command line.
    Flag,
}

impl Assignment {
    /// Puts it where it belongs.
    ///
    /// # Errors
    ///
    /// A sentence that says what is needed, where the value is none.
    pub(super) fn apply(&self, settings: &mut Settings) -> Result<(), String> {
        match &self.given {
            Given::Text(text) => (self.option.set)(settings, text)?,
            Given::Routes(routes) => settings.config.routes = routes.clone(),
            Given::Rooms(rooms) => settings.config.rooms = rooms.clone(),
        }
        Ok(())
    }
}
