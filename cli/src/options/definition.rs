//! What an option is: all that anybody has to know of one, in one value.

use super::settings::Settings;

/// An option of the server. Its flag, its variable, its place in the file, its help and its page
/// in the reference are all made from this.
#[derive(Debug)]
pub(crate) struct OptionDef {
    /// Where it stands in the file, like `log.level`.
    pub(crate) key: &'static str,
    /// How it is given on the command line, if it can be.
    pub(crate) flag: Option<Flag>,
    /// What it is shown with.
    pub(crate) group: Group,
    /// What its value looks like in a file.
    pub(crate) kind: Kind,
    /// What holds where nobody gives it.
    pub(crate) default: Default,
    /// A line for `--help`, without a full stop at its end.
    pub(crate) help: &'static str,
    /// What the reference says besides: bounds, and what happens there.
    pub(crate) doc: &'static str,
    /// Checks a value, as a flag has it, and puts it where it belongs.
    pub(crate) set: fn(&mut Settings, &str) -> Result<(), String>,
    /// What becomes of a change while the server runs.
    pub(crate) reload: Reload,
}

/// An option of the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    /// Its name behind the two dashes.
    pub(crate) long: &'static str,
    /// What stands for its value in the help.
    pub(crate) value: &'static str,
    /// Whether `-h` shows it.
    pub(crate) is_most_used: bool,
    /// Whether it may be given several times, and its variable has commas.
    pub(crate) is_repeatable: bool,
}

/// Under which heading an option is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Who may connect, and where.
    Listening,
    /// Threads and the kernel.
    Threads,
    /// What a client or the process may take.
    Limits,
    /// How long things may take.
    Times,
    /// What is in the rooms.
    Rooms,
    /// What is for operators.
    Operator,
    /// What is logged.
    Log,
}

/// What a value looks like in a file. Flags and variables are always text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One of these words; where they are `on` and `off`, true and false too.
    Word(&'static [&'static str]),
    /// A string.
    Text,
    /// Bytes: a number, or a string like `64KB`.
    Size,
    /// A number, or a string like `100k`.
    Count,
    /// A string like `25s`, or 0.
    Duration,
    /// True or false.
    Switch,
    /// `on`, `off`, or a share like `1%`.
    Share,
    /// Strings in an array, or one with commas.
    List,
    /// An address in a string, or in an array with nothing else.
    Address,
    /// A string that is never shown.
    Secret,
    /// Paths with the rooms that they lead to.
    Routes,
    /// Rules of rooms.
    Rooms,
}

/// What holds where nobody gives an option.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Default {
    /// This value, as a flag would have it.
    Value(&'static str),
    /// What these words say, since no value says it. The example is one that might be given, as a
    /// flag has it.
    Words {
        /// What holds.
        says: &'static str,
        /// What might be given instead.
        example: &'static str,
    },
}

/// What becomes of a change while the server runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reload {
    /// It holds from the next reload on.
    Live,
    /// It needs another start. The function puts what the running server has in the place of what
    /// is new, and says whether they differ.
    AtStart(fn(&mut Settings, &Settings) -> bool),
}

impl Flag {
    /// One that `--help` shows, with this for its value.
    pub(crate) const fn new(long: &'static str, value: &'static str) -> Self {
        Self { long, value, is_most_used: false, is_repeatable: false }
    }

    /// Shown by `-h` too.
    pub(crate) const fn most_used(self) -> Self {
        Self { is_most_used: true, ..self }
    }

    /// May be given several times.
    pub(crate) const fn repeatable(self) -> Self {
        Self { is_repeatable: true, ..self }
    }
}

impl Kind {
    /// Whether it is a table, or several, of a file, which no flag and no variable can give.
    pub(crate) const fn is_table(self) -> bool {
        matches!(self, Self::Routes | Self::Rooms)
    }
}

impl Group {
    /// All of them, in the order of the help.
    pub(crate) const ALL: [Self; 7] = [
        Self::Listening,
        Self::Threads,
        Self::Limits,
        Self::Times,
        Self::Rooms,
        Self::Operator,
        Self::Log,
    ];

    /// The heading.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Listening => "Listening",
            Self::Threads => "Threads",
            Self::Limits => "Limits",
            Self::Times => "Times",
            Self::Rooms => "Rooms",
            Self::Operator => "Operator",
            Self::Log => "Log",
        }
    }
}

/// The variable of a flag or a key.
pub(crate) fn variable(name: &str) -> String {
    format!("THRONG_{}", name.to_uppercase().replace(['-', '.'], "_"))
}

impl OptionDef {
    /// The variable of the environment: that of the flag, or of the key where there is none.
    /// Tables of a file have none.
    pub(crate) fn variable(&self) -> Option<String> {
        if self.kind.is_table() {
            return None;
        }
        Some(variable(self.flag.map_or(self.key, |flag| flag.long)))
    }

    /// Whether text is a value of it.
    ///
    /// # Errors
    ///
    /// A sentence that says what is needed.
    pub(crate) fn check(&self, text: &str) -> Result<(), String> {
        (self.set)(&mut Settings::default(), text)
    }

    /// The table of the file that it stands in, and its name there.
    pub(crate) fn place(&self) -> (Option<&'static str>, &'static str) {
        match self.key.rsplit_once('.') {
            Some((table, name)) => (Some(table), name),
            None => (None, self.key),
        }
    }
}
