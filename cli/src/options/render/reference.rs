//! The reference: a page in Markdown.

use super::super::definition::{Default, Group, Kind, OptionDef};
use super::super::list::{self, RULE_FIELDS};
use super::super::value::written;
use super::{example, example_of, is_at_start, wrap};

/// Columns of the page, but for tables.
const WIDTH: usize = 100;

const HEAD: &str = "\
# Options

<!-- Written by `throng config reference`; a test compares it with the list in cli/src/options. -->

Most options have a flag, all but tables a variable, and each a key in a file that `--config FILE`
or `THRONG_CONFIG` names. A flag wins over its variable, that over the file, and that over the
default. An empty variable is not set.

```sh
throng config default > throng.toml         # every option with its meaning, commented out
throng config check --config throng.toml    # `ok`, or what is wrong on which line and exit code 2
throng config print --config throng.toml    # what holds, and what gives it
throng --config throng.toml --workers 4
```

A file of `-` is standard input. A file has at most 1 MiB, and a key in it that is no option is an
error.

* Sizes are `\"64KB\"` (64,000 bytes), `\"64KiB\"` or `\"64K\"` (both 65,536), `\"1.5MiB\"`, or a
  number of bytes.
* Durations are `\"500ms\"`, `\"25s\"`, `\"1m30s\"`, up to 24 hours; 0 needs no unit, all else does.
* Counts are 40000, `\"100k\"`, `\"1m\"`.
* Lists are arrays of strings; flags and variables have commas.
";

/// The page.
pub(crate) fn reference() -> String {
    let mut out = HEAD.to_owned();
    for group in Group::ALL {
        out.push_str(&format!("\n## {}\n", group.title()));
        let options = list::all().filter(|option| option.group == group);
        options.for_each(|option| describe(&mut out, option));
    }
    out
}

fn describe(out: &mut String, option: &OptionDef) {
    out.push_str(&format!("\n### `{}`\n\n", option.key));
    wrap(out, "", &format!("{}. {}", option.help, option.doc), WIDTH);
    out.push_str(&table(option));
    match option.kind {
        Kind::Routes => out.push_str(&format!("\n```toml\n[routes]\n{}\n```\n", route(option))),
        Kind::Rooms => out.push_str(&rules()),
        _ => {}
    }
}

fn table(option: &OptionDef) -> String {
    let code = |text: &str| format!("`{}`", text.replace('|', "\\|"));
    let flag = option.flag.map(|flag| code(&format!("--{} {}", flag.long, flag.value)));
    let variable = option.variable().map(|variable| code(&variable));
    let default = match option.default {
        Default::Value(text) => code(&written(option.kind, text)),
        Default::Words { says, .. } if option.kind.is_table() || says == "none" => says.to_owned(),
        Default::Words { says, .. } if option.kind == Kind::Secret => says.to_owned(),
        Default::Words { says, .. } => format!("{says}; an example: {}", code(&example(option))),
    };
    let reload = if is_at_start(option) { "needs a restart" } else { "holds from a reload on" };
    let none = || "none".to_owned();
    format!(
        "\n| flag | variable | default | a change |\n|---|---|---|---|\n| {} | {} | {default} | \
         {reload} |\n",
        flag.unwrap_or_else(none),
        variable.unwrap_or_else(none)
    )
}

fn route(option: &OptionDef) -> &'static str {
    match option.default {
        Default::Words { example, .. } | Default::Value(example) => example,
    }
}

fn rules() -> String {
    let fields = RULE_FIELDS.iter();
    let lines = fields
        .clone()
        .map(|field| format!("{} = {}\n", field.key, example_of(field.kind, field.default)));
    let meanings = fields.map(|field| {
        let default = match field.default {
            Default::Value(text) => format!("`{}`", written(field.kind, text)),
            Default::Words { says, .. } => says.to_owned(),
        };
        format!("| `{}` | {default} | {} |\n", field.key, field.help)
    });
    format!(
        "\n```toml\n[[rooms]]\nmatch = \"news-*\"\n{}```\n\n| key | default | meaning |\n\
         |---|---|---|\n| `match` | none | Which rooms: a name, in which `*` stands for any bytes \
         and `?` for one character |\n{}",
        lines.collect::<String>(),
        meanings.collect::<String>()
    )
}
