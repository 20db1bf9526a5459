//! The floors of the sources, as they stand in the table of `src/main.rs`: a module names only those
//! below its own. What breaks that is found in tokens, so words in comments and texts do not count.
//!
//! Every check is also run on bad samples, which it must find, and on good ones, which it must let
//! pass.

use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A source file.
struct Source {
    /// From `src`, with slashes.
    path: String,
    text: String,
}

/// Modules and their floors.
struct Floors(Vec<(String, usize)>);

/// A place that breaks a rule.
struct Finding {
    line: usize,
    detail: String,
}

/// One rule.
struct Check {
    what: &'static str,
    run: fn(&Floors, &Source) -> Vec<Finding>,
    /// Paths and texts that must be found.
    bad: &'static [(&'static str, &'static str)],
    /// Paths and texts that must pass.
    good: &'static [(&'static str, &'static str)],
}

/// The floors of the samples.
const SAMPLE_TABLE: &str = "//! | 2 | `run` |\n//! | 1 | `report` `engine` |\n//! | 0 | `wire` |";

/// Both roots name every module, to declare it and to begin with it.
const ROOTS: [&str; 2] = ["main.rs", "lib.rs"];

static CHECKS: &[Check] = &[
    Check {
        what: "a module names only those on floors below its own",
        run: |floors, source| {
            let Some((module, own)) = floors.of(source) else { return Vec::new() };
            let names = paths(&source.text).into_iter();
            let names = names.filter(|path| ["crate", "loadtest"].contains(&path.root.as_str()));
            let strays = names.filter(|path| {
                let other = floors.floor(&path.next);
                path.next != module && other.is_none_or(|other| other >= own)
            });
            let say = |path: Named| Finding {
                line: path.line,
                detail: format!("{module} names {}", path.next),
            };
            strays.map(say).collect()
        },
        bad: &[
            ("engine/net.rs", "use crate::run::Run;"),
            ("engine/net.rs", "use crate::report::Report;"),
            ("report/mod.rs", "use crate::{wire, run::Run};"),
            ("report/mod.rs", "fn a() { print!(\"{}\", crate::run::B); }"),
            ("wire.rs", "use loadtest::engine;"),
            ("wire.rs", "use crate::nowhere;"),
        ],
        good: &[
            ("run.rs", "use crate::{report::Report, wire};\nfn a() { crate::engine::b() }"),
            (
                "engine/net.rs",
                "use crate::engine::b; // crate::run\nconst A: &str = \"crate::run\";",
            ),
            ("main.rs", "use crate::run::Run;"),
            ("engine/net.rs", "use loadtest::wire::{self, a};"),
        ],
    },
    Check {
        what: "a module has its floor in the table of src/main.rs",
        run: |floors, source| {
            let is_placed = ROOTS.contains(&source.path.as_str()) || floors.of(source).is_some();
            let detail = "on no floor".to_owned();
            (!is_placed).then_some(Finding { line: 1, detail }).into_iter().collect()
        },
        bad: &[("cli/mod.rs", ""), ("cli.rs", "")],
        good: &[("run/mod.rs", ""), ("run/cli.rs", ""), ("wire.rs", ""), ("lib.rs", "")],
    },
    Check {
        what: "name it from crate:: down, so that floors can be seen",
        run: |_, source| {
            let is_top = match source.path.split_once('/') {
                Some((_, rest)) => rest == "mod.rs",
                None => true,
            };
            let names = paths(&source.text).into_iter().filter(|path| path.root == "super");
            let strays = names.filter(|path| path.next == "super" || is_top && path.next != "*");
            let say =
                |path: Named| Finding { line: path.line, detail: format!("super::{}", path.next) };
            strays.map(say).collect()
        },
        bad: &[
            ("wire.rs", "use super::run::Run;"),
            ("engine/mod.rs", "use super::run;"),
            ("engine/net.rs", "fn a() { super::super::run::b() }"),
        ],
        good: &[
            ("wire.rs", "mod tests { use super::*; }"),
            ("engine/net.rs", "use super::link::Link;\npub(super) fn a() {}"),
        ],
    },
];

impl Floors {
    /// Reads the rows of a table: the number first, then modules in backquotes.
    fn read(text: &str) -> Self {
        let rows = text.lines().filter_map(|line| line.strip_prefix("//! |"));
        let modules = rows.flat_map(|row| {
            let mut columns = row.split('|');
            let number = columns.next().and_then(|number| number.trim().parse().ok());
            let names = columns.next().unwrap_or_default().split('`').skip(1).step_by(2);
            names.filter_map(move |name| Some((name.to_owned(), number?)))
        });
        Self(modules.collect())
    }

    fn floor(&self, module: &str) -> Option<usize> {
        self.0.iter().find(|(name, _)| name == module).map(|(_, floor)| *floor)
    }

    /// The module that a file belongs to, and its floor.
    fn of(&self, source: &Source) -> Option<(String, usize)> {
        let module = source.path.split(['/', '.']).next()?;
        Some((module.to_owned(), self.floor(module)?))
    }
}

/// A path in a source: `root::next` and whatever follows.
struct Named {
    root: String,
    next: String,
    line: usize,
}

/// All paths of a source that begin with a root of modules; groups are opened.
fn paths(text: &str) -> Vec<Named> {
    let tokens: TokenStream = text.parse().expect("it is Rust");
    let mut found = Vec::new();
    collect(tokens, &mut found);
    found
}

fn collect(tokens: TokenStream, found: &mut Vec<Named>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Ident(root) if is_colons(&tokens[at + 1..]) => {
                let (root, line) = (root.to_string(), root.span().start().line);
                let behind = tokens.get(at + 3).into_iter();
                let next = behind.flat_map(|token| match token {
                    TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                        firsts(group.stream())
                    }
                    other => vec![other.to_string()],
                });
                found.extend(next.map(|next| Named { root: root.clone(), next, line }));
            }
            _ => {}
        }
    }
}

fn is_colons(tokens: &[TokenTree]) -> bool {
    let is_colon = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ':');
    tokens.len() >= 2 && tokens[..2].iter().all(is_colon)
}

/// The first token of each part of a group.
fn firsts(group: TokenStream) -> Vec<String> {
    let tokens: Vec<TokenTree> = group.into_iter().collect();
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
    tokens.split(is_comma).filter_map(|part| Some(part.first()?.to_string())).collect()
}

fn read(folder: &Path, above: &str, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("the sources are there").flatten() {
        let path = format!("{above}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read(&entry.path(), &format!("{path}/"), sources);
        } else if path.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).expect("sources are UTF-8");
            sources.push(Source { path, text });
        }
    }
}

#[test]
fn modules_name_only_those_below() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    read(&folder, "", &mut sources);
    let main = sources.iter().find(|source| source.path == "main.rs").expect("it has a main");
    let floors = Floors::read(&main.text);
    let of = |module: &str| {
        let is_of = |source: &Source| source.path.split(['/', '.']).next() == Some(module);
        sources.iter().any(is_of)
    };
    let gone: Vec<_> = floors.0.iter().filter(|(module, _)| !of(module)).collect();
    assert!(floors.0.len() > 10 && gone.is_empty(), "the table is of these sources: {gone:?}");
    let mut findings = Vec::new();
    for source in &sources {
        for check in CHECKS {
            for Finding { line, detail } in (check.run)(&floors, source) {
                findings.push(format!("src/{}:{line}: {detail}: {}", source.path, check.what));
            }
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn every_check_finds_its_bad_samples_and_lets_its_good_ones_pass() {
    let floors = Floors::read(SAMPLE_TABLE);
    for check in CHECKS {
        let samples = check.bad.iter().map(|sample| (sample, true));
        for ((path, text), is_bad) in samples.chain(check.good.iter().map(|good| (good, false))) {
            let source = Source { path: (*path).to_owned(), text: (*text).to_owned() };
            let is_found = !(check.run)(&floors, &source).is_empty();
            assert_eq!(is_found, is_bad, "{} in {path}:\n{text}", check.what);
        }
    }
}
