//! The list of all options, by what they are about. It says what there is, and never what is
//! given.

/// Puts what a function makes of the text into a field of the settings.
macro_rules! set {
    ($($field:ident).+, $parse:expr) => {
        |settings, text| {
            settings.$($field).+ = $parse(text)?;
            Ok(())
        }
    };
}

/// The same for a field that may be empty.
macro_rules! set_some {
    ($($field:ident).+, $parse:expr) => {
        |settings, text| {
            settings.$($field).+ = Some($parse(text)?);
            Ok(())
        }
    };
}

/// A field that a server which runs keeps.
macro_rules! at_start {
    ($($field:ident).+) => {
        $crate::options::definition::Reload::AtStart(|new, running| {
            let differs = new.$($field).+ != running.$($field).+;
            new.$($field).+.clone_from(&running.$($field).+);
            differs
        })
    };
}

mod limits;
mod listening;
mod log;
mod operator;
mod rooms;
mod threads;
mod times;

use super::definition::OptionDef;

pub(crate) use rooms::RULE_FIELDS;

/// All options, in the order of the help.
pub(crate) fn all() -> impl Iterator<Item = &'static OptionDef> {
    let groups: [&'static [OptionDef]; 7] = [
        listening::OPTIONS,
        threads::OPTIONS,
        limits::OPTIONS,
        times::OPTIONS,
        rooms::OPTIONS,
        operator::OPTIONS,
        log::OPTIONS,
    ];
    groups.into_iter().flatten()
}

/// The option with this key.
pub(crate) fn find(key: &str) -> Option<&'static OptionDef> {
    all().find(|option| option.key == key)
}

/// The options in the order of a file: those outside of tables first, and tables of pairs last.
pub(crate) fn in_order_of_file() -> Vec<&'static OptionDef> {
    let mut options: Vec<&OptionDef> = all().collect();
    options.sort_by_key(|option| {
        let is_last = option.variable().is_none();
        let table = option.place().0;
        let first = all().position(|other| other.place().0 == table);
        (is_last, table.is_some(), first)
    });
    options
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::definition::{Default, Group, Kind};
    use super::super::settings::Settings;
    use super::*;

    #[test]
    fn names_are_unique_and_a_key_is_a_value_or_a_table() {
        let keys: HashSet<&str> = all().map(|option| option.key).collect();
        assert_eq!(keys.len(), all().count());
        let variables: HashSet<String> = all().filter_map(OptionDef::variable).collect();
        assert_eq!(variables.len(), all().filter(|option| option.variable().is_some()).count());
        for table in all().filter_map(|option| option.place().0) {
            assert!(!keys.contains(table), "{table} is a value and a table");
        }
        for option in all() {
            let is_key = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(option.key.split('.').all(|part| part.chars().all(is_key)), "{}", option.key);
            assert!(option.key.split('.').count() <= 3, "{}", option.key);
        }
    }

    #[test]
    fn every_group_has_its_options_together() {
        let mut groups: Vec<Group> = all().map(|option| option.group).collect();
        groups.dedup();
        assert_eq!(groups, Group::ALL);
    }

    #[test]
    fn defaults_are_what_the_settings_begin_with() {
        for option in all() {
            let mut settings = Settings::default();
            let default = format!("{settings:?}");
            match option.default {
                Default::Value(text) => {
                    (option.set)(&mut settings, text).expect(option.key);
                    assert_eq!(format!("{settings:?}"), default, "{}", option.key);
                }
                // Nobody is to keep a key that stands in an example.
                Default::Words { .. } if option.kind == Kind::Secret => {}
                Default::Words { example, .. } => option.check(example).expect(option.key),
            }
        }
    }

    #[test]
    fn what_is_said_of_options_is_said_alike() {
        for option in all() {
            assert!(!option.help.ends_with('.'), "{}: {}", option.key, option.help);
            assert!(option.doc.is_empty() || option.doc.ends_with('.'), "{}", option.key);
        }
    }
}
