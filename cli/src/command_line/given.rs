//! From what clap has found to what is given.

use std::env;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Error};

use crate::options::{self, Assignment, Given, Inputs, Kind, OptionDef, Origin, Source};

/// What flags and variables give.
pub(super) fn inputs(matches: &ArgMatches) -> Result<Inputs, Error> {
    let mut words = Vec::new();
    for option in options::all() {
        let given = match option.flag {
            Some(_) => by_flag(matches, option),
            None => by_variable(option)?,
        };
        words.extend(given);
    }
    let file = matches.get_one::<PathBuf>("config").cloned().map(Source::new);
    Ok(Inputs { words, file })
}

/// What a flag gives, or its variable.
fn by_flag(matches: &ArgMatches, option: &'static OptionDef) -> Option<Assignment> {
    let origin = match matches.value_source(option.key)? {
        ValueSource::CommandLine => Origin::Flag,
        ValueSource::EnvVariable => Origin::Variable,
        _ => return None,
    };
    let values: Vec<&str> = matches.get_many::<String>(option.key)?.map(String::as_str).collect();
    Some(Assignment { option, given: Given::Text(values.join(",")), origin })
}

/// What a variable gives whose option has no flag.
fn by_variable(option: &'static OptionDef) -> Result<Option<Assignment>, Error> {
    let Some(name) = option.variable() else { return Ok(None) };
    let Some(value) = env::var_os(&name).filter(|value| !value.is_empty()) else { return Ok(None) };
    let text = value.into_string().map_err(|_| bad(option, &name, "", "this is no UTF-8"))?;
    option.check(&text).map_err(|why| bad(option, &name, &text, &why))?;
    let origin = Origin::Variable;
    Ok(Some(Assignment { option, given: Given::Text(text), origin }))
}

/// As clap says it of flags, but that a secret is not shown.
fn bad(option: &OptionDef, variable: &str, value: &str, why: &str) -> Error {
    let is_shown = option.kind != Kind::Secret && !value.is_empty();
    let value = if is_shown { format!(" '{}'", value.escape_debug()) } else { String::new() };
    let message = format!("invalid value{value} for '{variable}': {why}\n");
    Error::raw(ErrorKind::InvalidValue, message)
}
