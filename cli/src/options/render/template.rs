//! A file to begin with: every option with its meaning, commented out.

use super::super::definition::{Default, Kind, OptionDef};
use super::super::list::{self, RULE_FIELDS};
use super::{UNITS, example, example_of, given_by, is_at_start, wrap};

/// Columns of the file.
const WIDTH: usize = 90;

const HEAD: &str = "Options of throng. A line that begins with # and no space behind it is an \
                    option with its default, or with an example where there is no value that says \
                    it: take the # away to set it. `throng config check --config FILE` says what \
                    is wrong with a file, `throng config print` what holds and why.";

/// The file. It gives nothing as it is.
pub(crate) fn template() -> String {
    let mut out = String::new();
    wrap(&mut out, "# ", HEAD, WIDTH);
    out.push_str("#\n");
    wrap(&mut out, "# ", UNITS, WIDTH);
    let mut table = None;
    for option in list::in_order_of_file() {
        let (of, _) = option.place();
        if let Some(name) = of.filter(|_| of != table) {
            out.push_str(&format!("\n[{name}]\n"));
        }
        table = of;
        out.push('\n');
        describe(&mut out, option);
        out.push_str(&lines(option));
    }
    out
}

fn describe(out: &mut String, option: &OptionDef) {
    wrap(out, "# ", &format!("{}.", option.help), WIDTH);
    wrap(out, "# ", option.doc, WIDTH);
    if let Default::Words { says, .. } = option.default {
        wrap(out, "# ", &format!("Default: {says}."), WIDTH);
    }
    let given_by = given_by(option).map(|by| format!("Also {by}."));
    let reload = is_at_start(option).then_some("A change needs a restart.".to_owned());
    let notes: Vec<String> = given_by.into_iter().chain(reload).collect();
    wrap(out, "# ", &notes.join(" "), WIDTH);
}

fn lines(option: &OptionDef) -> String {
    let (_, name) = option.place();
    match (option.kind, option.default) {
        (Kind::Routes, Default::Words { example, .. }) => format!("#[routes]\n#{example}\n"),
        (Kind::Rooms, _) => {
            let fields = RULE_FIELDS.iter().map(|field| {
                let mut lines = String::new();
                wrap(&mut lines, "# ", &format!("{}.", field.help), WIDTH);
                lines + &format!("#{} = {}\n", field.key, example_of(field.kind, field.default))
            });
            format!("#[[rooms]]\n#match = \"news-*\"\n{}", fields.collect::<String>())
        }
        _ => format!("#{name} = {}\n", example(option)),
    }
}
