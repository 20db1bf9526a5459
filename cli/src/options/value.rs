//! From a value of TOML to the text that a flag would have.

use toml::de::DeValue;

use super::definition::Kind;

/// The text, and in case it cannot be one why not.
///
/// # Errors
///
/// What is needed instead.
pub(super) fn text(kind: Kind, value: &DeValue<'_>) -> Result<String, String> {
    match (kind, value) {
        (Kind::Switch, DeValue::String(_)) => Err("true or false is needed, without quotes".into()),
        (Kind::Duration, DeValue::String(text)) if is_number(text) => duration(text),
        (_, DeValue::String(text)) => Ok(text.to_string()),
        (Kind::Switch, DeValue::Boolean(is_on)) => Ok(is_on.to_string()),
        (Kind::Word(_) | Kind::Share, DeValue::Boolean(is_on)) if has_on_and_off(kind) => {
            Ok(if *is_on { "on" } else { "off" }.to_owned())
        }
        (Kind::Size | Kind::Count, DeValue::Integer(_)) => integer(value),
        (Kind::Word(words), DeValue::Integer(_)) if has_numbers(words) => integer(value),
        (Kind::Duration, DeValue::Integer(_)) => duration(&integer(value)?),
        (Kind::Share, DeValue::Float(share)) => Ok(share.as_str().to_owned()),
        (Kind::Share, DeValue::Integer(_)) => integer(value),
        (Kind::Text | Kind::Secret | Kind::Address, DeValue::Integer(_) | DeValue::Float(_)) => {
            Err("a string is needed, with quotes around it".into())
        }
        _ => Err(format!("{} is needed, not {}", needed(kind), name(value))),
    }
}

/// What a value looks like where it is told; nothing for what has many lines.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(is_on) => is_on.to_string(),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => String::new(),
    }
}

/// The article and the name of a value's type.
pub(super) fn name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// A string as TOML has it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// The words of an option's value as a file has them.
pub(super) fn written(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Switch => text.to_owned(),
        Kind::Size | Kind::Count if is_number(text) => text.to_owned(),
        Kind::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            format!("[{}]", items.map(quoted).collect::<Vec<_>>().join(", "))
        }
        _ => quoted(text),
    }
}

/// A number as a duration: only 0 needs no unit.
fn duration(number: &str) -> Result<String, String> {
    match number {
        "0" => Ok("0".to_owned()),
        _ => Err(format!("it has no unit: \"{number}s\" is seconds, \"{number}ms\" less")),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn has_numbers(words: &[&str]) -> bool {
    words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_digit()))
}

fn has_on_and_off(kind: Kind) -> bool {
    match kind {
        Kind::Word(words) => ["on", "off"].iter().all(|word| words.contains(word)),
        _ => true,
    }
}

/// In decimal; TOML has hexadecimal, octal and binary numbers too.
fn integer(value: &DeValue<'_>) -> Result<String, String> {
    let number = value.as_integer();
    let number = number.and_then(|n| i128::from_str_radix(n.as_str(), n.radix()).ok());
    number.map(|number| number.to_string()).ok_or_else(|| "the number is too large".into())
}

fn needed(kind: Kind) -> String {
    match kind {
        Kind::Word(words) => format!("one of the strings {}", words.join(", ")),
        Kind::Text | Kind::Secret => "a string".into(),
        Kind::Size => "a size like \"64KiB\"".into(),
        Kind::Count => "a number like 40000 or \"100k\"".into(),
        Kind::Duration => "a duration like \"25s\"".into(),
        Kind::Switch => "true or false".into(),
        Kind::Share => "\"on\", \"off\" or a share like \"1%\"".into(),
        Kind::List => "an array of strings".into(),
        Kind::Address => "an address in a string".into(),
        Kind::Routes => "a table of paths and rooms".into(),
        Kind::Rooms => "an array of tables, which begin with [[rooms]],".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["", "a", "a\"b\\c", "line\nend\u{7f}", "é, \u{1f600}"] {
            let value = quoted(text);
            let read = DeValue::parse(&value).expect("it is TOML");
            assert_eq!(read.get_ref().as_str(), Some(text), "{value}");
        }
        assert_eq!(written(Kind::List, "a, b"), "[\"a\", \"b\"]");
        assert_eq!(written(Kind::List, ""), "[]");
        assert_eq!(written(Kind::Count, "4"), "4");
        assert_eq!(written(Kind::Count, "4k"), "\"4k\"");
    }
}
