//! From the words and the variables that the program is started with to its options.

use std::env;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Error, FromArgMatches};

use crate::args::Cli;
use crate::environment;

impl Cli {
    /// What the program was started with. It ends here with what `--help` asks for, and with what
    /// is wrong.
    #[must_use]
    pub(crate) fn read() -> Self {
        let words: Vec<OsString> = env::args_os().collect();
        Self::from_words(&words).unwrap_or_else(|error| error.exit())
    }

    /// A line for each variable of the environment that looks like an option and is none.
    #[must_use]
    pub(crate) fn unknown_variables() -> Vec<String> {
        let command = Self::command();
        let commands = std::iter::once(&command).chain(command.get_subcommands());
        let known = commands.flat_map(clap::Command::get_arguments).filter_map(clap::Arg::get_env);
        let known: Vec<String> = known.map(|name| name.to_string_lossy().into_owned()).collect();
        environment::unknown(env::vars_os(), &known)
    }

    fn from_words(words: &[OsString]) -> Result<Self, Error> {
        let command = without_empty_variables(Self::command());
        let asks_for_all = words.iter().any(|word| word == "--help");
        let command = if asks_for_all { with_all_shown(command) } else { with_hint(command) };
        let matches = command.try_get_matches_from(words);
        let matches = matches.map_err(|error| name_variable(error, words))?;
        Self::from_arg_matches(&matches)
    }
}

/// Compose files pass `THRONG_WORKERS=` on for what nobody has set.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let forget = |arg: clap::Arg| {
        let name = arg.get_env().map(ToOwned::to_owned);
        let is_empty = name.and_then(env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { arg.env(None::<&str>) } else { arg }
    };
    command.mut_args(forget).mut_subcommands(without_empty_variables)
}

fn with_all_shown(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.hide_short_help(false)).mut_subcommands(with_all_shown)
}

fn with_hint(command: clap::Command) -> clap::Command {
    let hint = |command: clap::Command| {
        let has_more = command.get_arguments().any(clap::Arg::is_hide_short_help_set);
        let hint = "--help has all options, with their variables and units.";
        let shorten = |arg: clap::Arg| arg.hide_env(true);
        if has_more { command.after_help(hint).mut_args(shorten) } else { command }
    };
    hint(command).mut_subcommands(hint)
}

/// Says of a bad value that it is a variable's, where no word names the flag.
fn name_variable(mut error: Error, words: &[OsString]) -> Error {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let flag = shown.split([' ', '=']).next().unwrap_or_default();
    let Some(name) = flag.strip_prefix("--") else { return error };
    let is_given = words.iter().any(|word| {
        let word = word.to_string_lossy();
        word.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    });
    let variable = format!("THRONG_{}", name.to_uppercase().replace('-', "_"));
    if !is_given && env::var_os(&variable).is_some() {
        let shown = format!("{variable} ({shown})");
        error.insert(ContextKind::InvalidArg, ContextValue::String(shown));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(command: clap::Command) -> String {
        command.term_width(100).render_help().to_string()
    }

    #[test]
    fn the_short_help_fits_on_a_screen_and_the_long_one_on_three() {
        let short = help(with_hint(Cli::command()));
        assert!(short.lines().count() <= 45, "{short}");
        assert!(short.contains("--help has all options"), "{short}");
        let long = help(with_all_shown(Cli::command()));
        assert!(long.lines().count() <= 3 * 45, "{long}");
        assert!(long.lines().count() > short.lines().count(), "{long}");
    }
}
