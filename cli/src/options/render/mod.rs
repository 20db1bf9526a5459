//! The options as people read them: the file to begin with, what is in force, the reference. It
//! makes text, and never prints any.

mod effective;
mod reference;
mod template;

pub(crate) use effective::effective;
pub(crate) use reference::reference;
pub(crate) use template::template;

use super::definition::{Default, Kind, OptionDef, Reload};
use super::value::written;

/// How values are written, for everybody who reads of them.
pub(crate) const UNITS: &str = "SIZE: 64KB is 64,000 bytes, 64KiB and 64K are 65,536; 1.5MiB. \
                                DUR: 500ms, 25s, 1m30s. N of connections: 40000, 100k, 1m. A flag \
                                wins over its variable, and that over the file of --config; an \
                                empty variable is not set.";

/// The value that a file to begin with shows: the default, or an example.
fn example(option: &OptionDef) -> String {
    example_of(option.kind, option.default)
}

fn example_of(kind: Kind, default: Default) -> String {
    match default {
        Default::Value(text) | Default::Words { example: text, .. } => written(kind, text),
    }
}

/// By what an option can be given beside the file.
fn given_by(option: &OptionDef) -> Option<String> {
    let flag = option.flag.map(|flag| format!("--{} {}", flag.long, flag.value));
    let all = [flag, option.variable()];
    let all: Vec<String> = all.into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// Whether a change waits for another start.
fn is_at_start(option: &OptionDef) -> bool {
    matches!(option.reload, Reload::AtStart(_))
}

/// Adds lines of words, no longer than so many characters, each with this before it.
fn wrap(out: &mut String, before: &str, text: &str, width: usize) {
    let mut line = before.to_owned();
    for word in text.split_whitespace() {
        let is_full = line.chars().count() + 1 + word.chars().count() > width;
        if is_full && line != before {
            out.push_str(line.trim_end());
            out.push('\n');
            line = before.to_owned();
        }
        if line != before {
            line.push(' ');
        }
        line.push_str(word);
    }
    if line != before {
        out.push_str(&line);
        out.push('\n');
    }
}
