//! Rules of rooms, as a file has them.

use throng::config::{RoomRule, RoomRules};
use toml::Spanned;
use toml::de::DeValue;

use super::definition::{Kind, OptionDef};
use super::document::{ALL, Reader, hint};
use super::fault::quote;
use super::{list, value};

/// The rules of `[[rooms]]`; nothing if one is bad, which has been noted.
pub(super) fn read(
    reader: &mut Reader<'_>,
    option: &OptionDef,
    rules: &Spanned<DeValue<'_>>,
) -> Option<RoomRules> {
    let DeValue::Array(items) = rules.get_ref() else {
        let why = value::text(Kind::Rooms, rules.get_ref());
        reader.bad(option, rules, &why.err().unwrap_or_else(|| ARRAY_NEEDED.to_owned()));
        return None;
    };
    let read: Vec<_> = items.iter().map(|item| rule(reader, item)).collect();
    let read: Vec<RoomRule> = read.into_iter().collect::<Option<_>>()?;
    match RoomRules::new(read) {
        Ok(rules) => Some(rules),
        Err(why) => {
            reader.bad(option, rules, &why);
            None
        }
    }
}

const ARRAY_NEEDED: &str = "an array of tables, which begin with [[rooms]], is needed";

fn rule(reader: &mut Reader<'_>, item: &Spanned<DeValue<'_>>) -> Option<RoomRule> {
    let line = reader.line(item);
    let DeValue::Table(fields) = item.get_ref() else {
        reader
            .fault(line, format!("a rule of rooms is a table, not {}", value::name(item.as_ref())));
        return None;
    };
    let mut rule = RoomRule { matches: String::new(), ..RoomRule::default() };
    let mut is_good = true;
    for (key, value) in fields {
        if let Err(why) = set(&mut rule, key.get_ref(), value.get_ref()) {
            is_good = false;
            reader.fault(reader.line(key), why);
        }
    }
    if rule.matches.is_empty() && is_good {
        reader.fault(line, NO_MATCH.to_owned());
        return None;
    }
    is_good.then_some(rule)
}

const ABOVE: &str = "it is one of the server, and stands above the first [table] and [[rooms]]";

const NO_MATCH: &str = "a rule of rooms needs to say for which: `match = \"*\"` is all rooms";

/// Puts the value of a field into a rule.
fn set(rule: &mut RoomRule, key: &str, value: &DeValue<'_>) -> Result<(), String> {
    let found = value::name(value);
    if key == "match" {
        let pattern = value.as_str().filter(|pattern| !pattern.is_empty());
        let why =
            || format!("'match' of a rule of rooms must be a name like \"news-*\", not {found}");
        rule.matches = pattern.ok_or_else(why)?.to_owned();
        return Ok(());
    }
    let Some(field) = list::RULE_FIELDS.iter().find(|field| field.key == key) else {
        let names = list::RULE_FIELDS.iter().map(|field| field.key).chain(["match"]);
        let above = list::find(key).map(|_| ABOVE.to_owned());
        let told = above.or_else(|| hint(key, names)).unwrap_or_else(|| ALL.to_owned());
        return Err(format!("unknown option {} of a rule of rooms: {told}", quote(key)));
    };
    let text = value::text(field.kind, value);
    let set = text.and_then(|text| (field.set)(rule, &text));
    set.map_err(|why| {
        let shown = Some(value::shown(value)).filter(|shown| !shown.is_empty());
        let shown = shown.map(|shown| format!(" {}", quote(&shown))).unwrap_or_default();
        format!("invalid value{shown} for '{key}' of a rule of rooms: {why}")
    })
}
