//! What is in force, as a file that says the same, and what says so.

use super::super::assignment::{Given, Origin};
use super::super::definition::{Default, Kind, OptionDef};
use super::super::load::Effective;
use super::super::value::{quoted, written};
use super::super::{list, secret};

/// Every option with its value, and what gives it.
pub(crate) fn effective(all: &Effective) -> String {
    let mut out = String::new();
    let mut table = None;
    for option in list::in_order_of_file() {
        let (of, _) = option.place();
        if of != table && of.is_some() {
            out.push_str(&format!("\n[{}]\n", of.unwrap_or_default()));
        }
        table = of;
        out.push_str(&lines(all, option));
    }
    out
}

fn lines(all: &Effective, option: &OptionDef) -> String {
    let by = all.winner(option.key).map_or_else(
        || "default".to_owned(),
        |winner| match (winner.origin, option.flag, option.variable()) {
            (Origin::File(line), ..) => {
                format!("{}:{line}", all.file.as_deref().unwrap_or_default())
            }
            (Origin::Flag, Some(flag), _) => format!("--{}", flag.long),
            (_, _, variable) => variable.unwrap_or_default(),
        },
    );
    let by = by.escape_debug().to_string();
    match option.kind {
        Kind::Routes => routes(all, &by),
        Kind::Rooms => rooms(all, option, &by),
        kind => value(all, option, kind, &by),
    }
}

fn value(all: &Effective, option: &OptionDef, kind: Kind, by: &str) -> String {
    let (_, name) = option.place();
    let text = match (all.winner(option.key).map(|winner| &winner.given), option.default) {
        (Some(_), _) if kind == Kind::Secret => secret::SHOWN,
        (Some(Given::Text(text)), _) => text,
        (_, Default::Value(text)) => text,
        (_, Default::Words { says, .. }) => return format!("# {name}: {says} ({by})\n"),
    };
    format!("{name} = {} # {by}\n", written(kind, text))
}

fn routes(all: &Effective, by: &str) -> String {
    let routes = all.settings.config.routes.iter();
    let lines = routes.map(|(path, room)| format!("{} = {}\n", quoted(path), quoted(room)));
    format!("\n[routes] # {by}\n{}", lines.collect::<String>())
}

fn rooms(all: &Effective, option: &OptionDef, by: &str) -> String {
    let rules = all.settings.config.rooms.iter().map(|rule| {
        let matches = format!("\n[[rooms]] # {by}\nmatch = {}\n", quoted(&rule.matches));
        let fields = list::RULE_FIELDS.iter().filter_map(|field| {
            let text = (field.get)(rule)?;
            Some(format!("{} = {}\n", field.key, written(field.kind, &text)))
        });
        matches + &fields.collect::<String>()
    });
    let rules: String = rules.collect();
    match option.default {
        Default::Words { says, .. } if rules.is_empty() => format!("\n# rooms: {says} ({by})\n"),
        _ => rules,
    }
}
