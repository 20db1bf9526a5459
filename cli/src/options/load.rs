//! From what the program is started with to its settings: a flag wins over a variable, that over
//! the file, and that over the default.

use super::assignment::{Assignment, Origin};
use super::combinations;
use super::document;
use super::fault::{self, Fault};
use super::file::{self, Source};
use super::settings::Settings;

/// What the program is started with. It stays the same while it runs; what is in the file may not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    /// What flags and variables give.
    pub(crate) words: Vec<Assignment>,
    /// The file, if one is named.
    pub(crate) file: Option<Source>,
}

/// What all of it comes to.
#[derive(Debug)]
pub(crate) struct Effective {
    /// The values.
    pub(crate) settings: Settings,
    /// What gives them, one for each option that is given.
    pub(super) winners: Vec<Assignment>,
    /// The name of the file.
    pub(super) file: Option<String>,
}

impl Inputs {
    /// Reads the file and puts all together.
    ///
    /// # Errors
    ///
    /// A line for each fault, those of the file in its order.
    pub(crate) fn load(&self) -> Result<Effective, Vec<String>> {
        let name = self.file.as_ref().map(ToString::to_string);
        let text = self.file.as_ref().map(Source::read).transpose();
        let text = text.map_err(|line| vec![line])?.unwrap_or_default();
        let (from_file, faults) = document::read(&text);
        let shown = name.clone().unwrap_or_default();
        if !faults.is_empty() {
            return Err(fault::lines(faults, &shown));
        }
        let given = from_file.into_iter().chain(self.words.iter().cloned());
        let mut effective = Effective::of(given.collect(), name)?;
        let mut faults = combinations::faults(&effective);
        faults.extend(effective.read_key());
        if faults.is_empty() { Ok(effective) } else { Err(fault::lines(faults, &shown)) }
    }
}

impl Effective {
    /// Later ones win.
    fn of(mut given: Vec<Assignment>, file: Option<String>) -> Result<Self, Vec<String>> {
        given.sort_by_key(|assignment| assignment.origin);
        let mut settings = Settings::default();
        let mut winners: Vec<Assignment> = Vec::new();
        for assignment in given {
            winners.retain(|other| other.option.key != assignment.option.key);
            winners.push(assignment);
        }
        for winner in &winners {
            winner
                .apply(&mut settings)
                .map_err(|why| vec![format!("{}: {why}", winner.option.key)])?;
        }
        Ok(Self { settings, winners, file })
    }

    /// Whether an option is given, and not left to its default.
    pub(crate) fn is_given(&self, key: &str) -> bool {
        self.winner(key).is_some()
    }

    /// What gives an option; nothing if that is its default.
    pub(super) fn winner(&self, key: &str) -> Option<&Assignment> {
        self.winners.iter().find(|winner| winner.option.key == key)
    }

    /// A fault of an option, told of what gives it.
    pub(super) fn blame(&self, key: &str, what: &str) -> Fault {
        let Some(winner) = self.winner(key) else { return Fault::whole(format!("{key}: {what}")) };
        let option = winner.option;
        match (winner.origin, option.flag, option.variable()) {
            (Origin::File(line), ..) => Fault::at(line, format!("'{key}': {what}")),
            (Origin::Flag, Some(flag), _) => Fault::whole(format!("--{}: {what}", flag.long)),
            (_, _, Some(variable)) => Fault::whole(format!("{variable}: {what}")),
            _ => Fault::whole(format!("{key}: {what}")),
        }
    }

    fn read_key(&mut self) -> Option<Fault> {
        let path = self.settings.operator.key_file.as_ref()?;
        match file::read_key(path) {
            Ok(key) => {
                self.settings.operator.key = Some(key);
                None
            }
            Err(why) => Some(self.blame("operator.key_file", &why)),
        }
    }
}
