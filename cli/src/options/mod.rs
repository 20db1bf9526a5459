//! Every option of the server once: its flag, its variable, its key in the file, its default, its
//! help and its page in the reference come from one list, and all that gives it is put together
//! here.
//!
//! Nothing here starts anything or writes anywhere, and it never looks at the words of the command
//! line: they come as assignments.

mod assignment;
mod combinations;
mod definition;
mod document;
mod fault;
mod file;
mod list;
mod load;
mod parse;
mod reload;
mod render;
mod rules;
mod secret;
mod settings;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use assignment::{Assignment, Given, Origin};
pub(crate) use definition::{Default, Kind, OptionDef, variable};
pub(crate) use file::Source;
pub(crate) use list::{all, find};
pub(crate) use load::{Effective, Inputs};
pub(crate) use parse::connections;
pub(crate) use reload::Reloaded;
pub(crate) use render::{UNITS, effective, reference, template};
pub(crate) use settings::{LogFormat, LogLevel, LogSettings, Settings};
