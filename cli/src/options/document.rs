//! From the text of a file to what it gives, and to everything that is wrong with it.

use throng::config::Routes;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, Error};

use super::assignment::{Assignment, Given, Origin};
use super::definition::{Kind, OptionDef};
use super::fault::{Fault, quote};
use super::{list, rules, value};
use crate::nearest::nearest;

/// Routes at most: each upgrade is held against them.
const ROUTES_MAX: usize = 256;

/// Faults that are looked into; so many are not told.
const FAULTS_MAX: usize = 1000;

/// Where all names stand.
pub(super) const ALL: &str = "`throng config reference` lists them all";

/// Slips that may lead from one name to another.
const SLIPS_MAX: usize = 3;

type Key<'a> = Spanned<DeString<'a>>;
type Value<'a> = Spanned<DeValue<'a>>;

/// What a file gives, and its faults.
pub(super) fn read(text: &str) -> (Vec<Assignment>, Vec<Fault>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    let ends = ends.map(|(at, _)| at).collect();
    let mut reader = Reader { text, ends, assignments: Vec::new(), faults: Vec::new() };
    errors.iter().take(FAULTS_MAX).for_each(|error| reader.syntax(error));
    let unreadable: Vec<Option<usize>> = reader.faults.iter().map(Fault::line).collect();
    let syntax = std::mem::take(&mut reader.faults);
    document.get_ref().iter().for_each(|(key, value)| reader.entry(key, value));
    // Where the text is no TOML, what was made of it says nothing.
    reader.faults.retain(|fault| !unreadable.contains(&fault.line()));
    reader.faults.extend(syntax);
    (reader.assignments, reader.faults)
}

/// The name that may have been meant, in brackets of a question.
pub(super) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let slips_max = SLIPS_MAX.min(name.len() / 2);
    nearest(name, known, slips_max).map(|known| format!("is '{known}' meant?"))
}

/// The only option of that name, in whatever table it stands.
fn elsewhere(last: &str) -> Option<String> {
    let mut same = list::all().filter(|option| option.key.rsplit('.').next() == Some(last));
    let option = same.next().filter(|_| same.next().is_none())?;
    Some(format!("is '{}' meant?", option.key))
}

/// What is wrong with the text, and where that helps a remedy.
fn syntax(message: &str, has_value: bool) -> String {
    let begins = |start: &str| message.starts_with(start);
    if begins("string values must be quoted") {
        let quotes = "text needs quotes around it";
        return if has_value { quotes } else { "the value is missing" }.to_owned();
    }
    let remedy = if begins("duplicate key") {
        "; remove one of them"
    } else if begins("unexpected leading zero") || begins("invalid unquoted key") {
        "; put it in quotes"
    } else {
        ""
    };
    format!("{message}{remedy}")
}

/// Whether options stand in a table of that name, or in one within it.
fn is_table(name: &str) -> bool {
    let mut tables = list::all().filter_map(|option| option.place().0);
    tables.any(|table| {
        table.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// What has been read so far.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    /// Where its lines end.
    ends: Vec<usize>,
    assignments: Vec<Assignment>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    /// The line of a value or a key.
    pub(super) fn line<T>(&self, what: &Spanned<T>) -> usize {
        self.line_at(what.span().start)
    }

    /// Notes a fault.
    pub(super) fn fault(&mut self, line: usize, text: String) {
        self.faults.push(Fault::at(line, text));
    }

    /// Notes that a value cannot be.
    pub(super) fn bad(&mut self, option: &OptionDef, value: &Value<'_>, why: &str) {
        let shown = value::shown(value.get_ref());
        self.faults.push(Fault::value(self.line(value), option, &shown, why));
    }

    fn line_at(&self, offset: usize) -> usize {
        1 + self.ends.partition_point(|end| *end < offset)
    }

    fn syntax(&mut self, error: &Error) {
        let line = self.line_at(error.span().map_or(0, |span| span.start));
        let rest = self.text.lines().nth(line - 1).and_then(|line| line.split_once('='));
        let has_value = rest.is_none_or(|(_, value)| !value.trim().is_empty());
        self.fault(line, syntax(error.message(), has_value));
    }

    fn entry(&mut self, key: &Key<'_>, value: &Value<'_>) {
        let name: &str = key.get_ref();
        match (list::find(name), value.get_ref()) {
            (Some(option), _) if !name.contains('.') => self.option(option, key, value),
            (_, value) if is_table(name) => self.table(name, key, value),
            _ => self.unknown(key, name),
        }
    }

    fn table(&mut self, table: &str, key: &Key<'_>, value: &DeValue<'_>) {
        let DeValue::Table(inner) = value else {
            let (line, found) = (self.line(key), value::name(value));
            return self.fault(line, format!("'{table}' is a table, not {found}: write [{table}]"));
        };
        for (key, value) in inner {
            let full = format!("{table}.{}", key.get_ref());
            match list::find(&full) {
                Some(option) => self.option(option, key, value),
                None if is_table(&full) => self.table(&full, key, value.get_ref()),
                None => self.unknown(key, &full),
            }
        }
    }

    fn unknown(&mut self, key: &Key<'_>, full: &str) {
        if self.faults.len() >= FAULTS_MAX {
            return;
        }
        let last = full.rsplit('.').next().unwrap_or(full);
        let is_quoted =
            self.text[key.span()].starts_with(['"', '\'']) && list::find(full).is_some();
        let quoted = is_quoted.then(|| "write it without quotes".to_owned());
        let above = list::find(last)
            .filter(|_| last != full)
            .map(|option| format!("'{}' stands above the first [table]", option.key));
        let tables = list::all().filter_map(|option| option.place().0);
        let names = list::all().map(|option| option.key).chain(tables);
        let told = quoted.or(above).or_else(|| hint(full, names)).or_else(|| elsewhere(last));
        let told = told.unwrap_or_else(|| ALL.to_owned());
        self.fault(self.line(key), format!("unknown option {}: {told}", quote(full)));
    }

    fn option(&mut self, option: &'static OptionDef, key: &Key<'_>, value: &Value<'_>) {
        let given = match option.kind {
            Kind::Routes => self.routes(option, value).map(Given::Routes),
            Kind::Rooms => rules::read(self, option, value).map(Given::Rooms),
            Kind::List | Kind::Address => self.list(option, value).map(Given::Text),
            kind => self.text(kind, option, value).map(Given::Text),
        };
        if let Some(given) = given {
            let origin = Origin::File(self.line(key));
            self.assignments.push(Assignment { option, given, origin });
        }
    }

    fn text(&mut self, kind: Kind, option: &OptionDef, value: &Value<'_>) -> Option<String> {
        let text = value::text(kind, value.get_ref());
        match text.and_then(|text| option.check(&text).map(|()| text)) {
            Ok(text) => Some(text),
            Err(why) => {
                self.bad(option, value, &why);
                None
            }
        }
    }

    /// Each item is judged by itself, so that its own line is told.
    fn list(&mut self, option: &OptionDef, value: &Value<'_>) -> Option<String> {
        let DeValue::Array(items) = value.get_ref() else {
            return self.text(option.kind, option, value);
        };
        let texts: Vec<_> = items.iter().map(|item| self.text(Kind::Text, option, item)).collect();
        let all = texts.into_iter().collect::<Option<Vec<String>>>()?.join(",");
        if let Err(why) = option.check(&all) {
            self.bad(option, value, &why);
            return None;
        }
        Some(all)
    }

    fn routes(&mut self, option: &OptionDef, value: &Value<'_>) -> Option<Routes> {
        let DeValue::Table(table) = value.get_ref() else {
            self.text(Kind::Routes, option, value);
            return None;
        };
        if table.len() > ROUTES_MAX {
            let why = format!("there are {} routes, and {ROUTES_MAX} may be", table.len());
            self.bad(option, value, &why);
            return None;
        }
        let pairs: Vec<_> = table.iter().map(|(path, room)| self.route(path, room)).collect();
        let pairs: Option<Vec<_>> = pairs.into_iter().collect();
        // Each has been judged, and a table has none twice.
        pairs.and_then(|pairs| Routes::new(pairs).ok())
    }

    fn route(&mut self, path: &Key<'_>, room: &Value<'_>) -> Option<(String, String)> {
        let Some(name) = room.get_ref().as_str() else {
            let (path, found) = (path.get_ref(), value::name(room.get_ref()));
            let text = format!("the room of {} must be a string, not {found}", quote(path));
            self.fault(self.line(room), text);
            return None;
        };
        let pair = (path.get_ref().to_string(), name.to_owned());
        match Routes::new([pair.clone()]) {
            Ok(_) => Some(pair),
            Err(why) => {
                self.fault(self.line(path), format!("invalid route: {why}"));
                None
            }
        }
    }
}
