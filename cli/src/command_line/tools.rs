//! Commands that containers and packages call: health checks, pages of the manual, completions.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::{Task, with_base};
use crate::health::Url;

const HEALTH: &str = "Ask a server over HTTP whether it is well; the exit code is 1 if it is not";

/// The short help has no room for them: people who make a package know them, or an image.
pub(super) fn commands() -> [Command; 3] {
    let plain = |name, about: &'static str| with_base(Command::new(name)).about(about);
    let url = Arg::new("url").value_name("URL").required(true).value_parser(Url::parse);
    let url = url.help("What to ask for, like http://127.0.0.1:8080/");
    let folder = Arg::new("folder").value_name("FOLDER").value_parser(value_parser!(PathBuf));
    let folder =
        folder.help("Write the pages of all commands there, instead of printing the first");
    let shell = Arg::new("shell").value_name("SHELL").required(true);
    let shell = shell.value_parser(value_parser!(Shell)).help("For which shell");
    [
        plain("health", HEALTH).hide(true).arg(url),
        plain("man", "Print the page of the manual").hide(true).arg(folder),
        plain("completions", "Print completions for a shell").hide(true).arg(shell),
    ]
}

/// What one of them is to do.
pub(super) fn task(name: &str, matches: &ArgMatches) -> Task {
    const REQUIRED: &str = "clap has seen to it that it is there";
    match name {
        "health" => Task::Health(matches.get_one("url").cloned().expect(REQUIRED)),
        "man" => Task::Manual(matches.get_one("folder").cloned()),
        _ => Task::Completions(matches.get_one("shell").copied().expect(REQUIRED)),
    }
}
