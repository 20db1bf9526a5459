//! From options to the arguments that clap knows.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{Arg, ArgAction, value_parser};

use crate::options::{self, Default, Kind, OptionDef};

/// The file with options, by its variable.
pub(super) const CONFIG_VARIABLE: &str = "THRONG_CONFIG";

/// The long form of clap's own flag takes a screen more and says nothing more: `--help` is the
/// short form of all options, and `-h` that of the ones that matter most.
pub(super) fn help() -> Arg {
    let action = ArgAction::HelpShort;
    Arg::new("help").short('h').long("help").help("Print help").action(action)
}

/// All that the server takes.
pub(super) fn of_server() -> Vec<Arg> {
    let config = Arg::new("config").long("config").value_name("FILE").env(CONFIG_VARIABLE);
    let config = config.value_parser(value_parser!(PathBuf));
    let config = config.help("File with options; `throng config default` prints one");
    std::iter::once(config).chain(options::all().filter_map(argument)).collect()
}

/// All that `doctor` takes: it judges a server with these of its options.
pub(super) fn of_doctor() -> Vec<Arg> {
    let number = |name: &'static str, value: &'static str| {
        Arg::new(name).long(name).value_name(value).value_parser(options::connections)
    };
    let of_server = ["workers", "backend"].into_iter().filter_map(|key| {
        let argument = argument(options::find(key)?)?;
        Some(argument.help_heading(None::<&str>))
    });
    let own = [
        number("connections", "N")
            .help("Connections that should fit; the exit code is 1 if they do not"),
        number("local-clients", "ADDRESSES")
            .help("Clients run on this machine too, each of them at one of that many addresses"),
    ];
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue);
    let json = json.help("Print JSON instead of a table");
    own.into_iter().chain(of_server).chain([json]).collect()
}

/// The flag of an option, with its variable; nothing if it has no flag.
fn argument(option: &'static OptionDef) -> Option<Arg> {
    let (flag, variable) = (option.flag?, option.variable()?);
    let mut argument = Arg::new(option.key)
        .long(flag.long)
        .value_name(flag.value)
        .env(variable)
        .help_heading(option.group.title())
        .hide_short_help(!flag.is_most_used)
        .value_parser(parser(option))
        .help(option.help);
    match option.default {
        Default::Value("") => {}
        Default::Value(text) => argument = argument.default_value(text),
        Default::Words { says: "none", .. } => {}
        Default::Words { says, .. } => {
            argument = argument.help(format!("{} [default: {says}]", option.help));
        }
    }
    if flag.is_repeatable {
        argument = argument.action(ArgAction::Append).value_delimiter(',');
    }
    if option.kind == Kind::Switch {
        argument = argument.num_args(0..=1).require_equals(true).default_missing_value("true");
    }
    Some(argument)
}

/// A value is checked here and stays text: what it comes to is decided when all is known.
fn parser(option: &'static OptionDef) -> ValueParser {
    match option.kind {
        Kind::Word(words) => PossibleValuesParser::new(words).into(),
        _ => ValueParser::new(move |text: &str| option.check(text).map(|()| text.to_owned())),
    }
}
