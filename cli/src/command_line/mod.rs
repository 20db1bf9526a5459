//! From the words and the variables that the program is started with to what it is to do. It never
//! reads a file and never starts anything.

mod arguments;
mod given;
mod tools;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{ArgMatches, Command, Error};
use clap_complete::Shell;
use throng::config::Backend;
use throng::doctor::Wish;

use crate::environment::{self, Variable};
use crate::health::Url;
use crate::options::{self, Inputs, UNITS};

/// What the program is to do.
#[derive(Debug)]
pub(crate) enum Task {
    /// Run the server.
    Serve(Inputs),
    /// Judge the host.
    Doctor {
        /// For what.
        wish: Wish,
        /// Whether it is for a program.
        is_json: bool,
    },
    /// Say whether the options are good.
    Check(Inputs),
    /// Say what they come to.
    Print(Inputs),
    /// Print a file to begin with.
    Default,
    /// Print the reference.
    Reference,
    /// Ask a server whether it is well.
    Health(Url),
    /// Print a page of the manual, or write all of them into a folder.
    Manual(Option<PathBuf>),
    /// Print completions for a shell.
    Completions(Shell),
}

impl Task {
    /// What the program was started with. It ends here with what `--help` asks for, and with what
    /// is wrong.
    #[must_use]
    pub(crate) fn read() -> Self {
        let words: Vec<OsString> = env::args_os().collect();
        Self::from_words(&words).unwrap_or_else(|error| error.exit())
    }

    fn from_words(words: &[OsString]) -> Result<Self, Error> {
        let command = without_empty_variables(command());
        let asks_for_all = words.iter().any(|word| word == "--help");
        let command = if asks_for_all { with_all_shown(command) } else { with_hint(command) };
        let matches = command.clone().try_get_matches_from(words);
        let matches = matches.map_err(|error| name_variable(error, words))?;
        Self::from_matches(&matches).map_err(|error| error.with_cmd(&command))
    }

    fn from_matches(matches: &ArgMatches) -> Result<Self, Error> {
        match matches.subcommand() {
            Some(("serve", matches)) => given::inputs(matches).map(Self::Serve),
            Some(("doctor", matches)) => Ok(doctor(matches)),
            Some(("config", matches)) => match matches.subcommand() {
                Some(("check", matches)) => given::inputs(matches).map(Self::Check),
                Some(("print", matches)) => given::inputs(matches).map(Self::Print),
                Some(("default", _)) => Ok(Self::Default),
                _ => Ok(Self::Reference),
            },
            Some((name, matches)) => Ok(tools::task(name, matches)),
            None => given::inputs(matches).map(Self::Serve),
        }
    }
}

/// The command line with all that the short help leaves out, for pages and completions.
pub(crate) fn whole() -> Command {
    with_all_shown(command()).mut_subcommand("health", |health| health.hide(false))
}

/// A line for each variable of the environment that looks like an option and is none.
#[must_use]
pub(crate) fn unknown_variables() -> Vec<String> {
    let of_option = |option: &options::OptionDef| {
        let by_key = options::variable(option.key);
        option.variable().map(|name| Variable { name, by_key })
    };
    let config = arguments::CONFIG_VARIABLE.to_owned();
    let config = Variable { name: config.clone(), by_key: config };
    let known: Vec<Variable> = options::all().filter_map(of_option).chain([config]).collect();
    environment::unknown(env::vars_os(), &known)
}

const ABOUT: &str = "WebSocket server for very many connections. Serves a chat page at /, echoes \
                     at /echo, and /room/NAME sends every message to everybody in the room";

fn command() -> Command {
    with_base(Command::new("throng"))
        .about(ABOUT)
        .version(env!("CARGO_PKG_VERSION"))
        .args_conflicts_with_subcommands(true)
        .args(arguments::of_server())
        .after_help(after_help())
        .subcommand(serve())
        .subcommand(with_base(Command::new("doctor")).about(DOCTOR).args(arguments::of_doctor()))
        .subcommand(config())
        .subcommands(tools::commands())
}

/// What stands below the options, once for all of them.
fn after_help() -> String {
    format!("{UNITS} `throng config reference` has the options without a flag too.")
}

const DOCTOR: &str = "Say how many connections this host can hold, and what to raise for more";

fn serve() -> Command {
    let serve = with_base(Command::new("serve")).about("Run the server (the default)");
    serve.args(arguments::of_server()).after_help(after_help())
}

fn config() -> Command {
    let of_server = |name: &'static str, about: &'static str| {
        let command = with_base(Command::new(name)).about(about);
        command.args(arguments::of_server()).after_help(after_help())
    };
    let plain =
        |name: &'static str, about: &'static str| with_base(Command::new(name)).about(about);
    plain("config", "Check, print and explain the options, and files with them")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(of_server("check", "Say whether file, variables and flags are good"))
        .subcommand(of_server("print", "Print what holds, and what gives it"))
        .subcommand(plain("default", "Print a file to begin with, all of it commented out"))
        .subcommand(plain("reference", "Print the reference of all options, in Markdown"))
}

fn with_base(command: Command) -> Command {
    let command = command.max_term_width(100).disable_help_flag(true);
    command.disable_help_subcommand(true).arg(arguments::help())
}

fn doctor(matches: &ArgMatches) -> Task {
    let number = |name| matches.get_one::<usize>(name).copied();
    let text = |name| matches.get_one::<String>(name);
    let backend = text("backend").and_then(|name| name.parse().ok());
    let workers = text("workers").and_then(|number| number.parse().ok());
    let wish = Wish {
        connections: number("connections"),
        local_clients: number("local-clients"),
        workers,
        backend: backend.unwrap_or(Backend::Auto),
    };
    Task::Doctor { wish, is_json: matches.get_flag("json") }
}

/// Compose files pass `THRONG_WORKERS=` on for what nobody has set.
fn without_empty_variables(command: Command) -> Command {
    let forget = |arg: clap::Arg| {
        let name = arg.get_env().map(ToOwned::to_owned);
        let is_empty = name.and_then(env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { arg.env(None::<&str>) } else { arg }
    };
    command.mut_args(forget).mut_subcommands(without_empty_variables)
}

fn with_all_shown(command: Command) -> Command {
    command.mut_args(|arg| arg.hide_short_help(false)).mut_subcommands(with_all_shown)
}

fn with_hint(command: Command) -> Command {
    let has_more = command.get_arguments().any(clap::Arg::is_hide_short_help_set);
    let hint = "--help has all options, with their variables and units.";
    let shorten = |arg: clap::Arg| arg.hide_env(true);
    let command = if has_more { command.after_help(hint).mut_args(shorten) } else { command };
    command.mut_subcommands(with_hint)
}

/// Says of a bad value that it is a variable's, where no word names the flag.
fn name_variable(mut error: Error, words: &[OsString]) -> Error {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let flag = shown.split([' ', '=', '[']).next().unwrap_or_default();
    let Some(name) = flag.strip_prefix("--") else { return error };
    let is_given = words.iter().any(|word| {
        let word = word.to_string_lossy();
        word.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    });
    let variable = options::variable(name);
    if !is_given && env::var_os(&variable).is_some() {
        let shown = format!("{variable} ({shown})");
        error.insert(ContextKind::InvalidArg, ContextValue::String(shown));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(command: Command) -> String {
        command.term_width(100).render_help().to_string()
    }

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn the_short_help_fits_on_a_screen_and_the_long_one_on_three() {
        let short = help(with_hint(command()));
        assert!(short.lines().count() <= 45, "{short}");
        assert!(short.contains("--help has all options"), "{short}");
        let long = help(with_all_shown(command()));
        assert!(long.lines().count() <= 3 * 45, "{long}");
        assert!(long.lines().count() > short.lines().count(), "{long}");
    }

    #[test]
    fn options_work_with_and_without_serve() {
        for words in [vec!["throng", "--workers", "3"], vec!["throng", "serve", "--workers", "3"]] {
            let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
            let task = Task::from_words(&words).expect("both forms are documented");
            let Task::Serve(inputs) = task else { panic!("nobody asked for {task:?}") };
            let effective = inputs.load().expect("it is good");
            assert_eq!(effective.settings.config.workers, 3);
        }
    }
}
