//! Rules that hold everywhere.

use crate::Check;
use crate::source::{Finding, Source, body_end, find_words, line_of};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

pub(crate) static CHECKS: &[Check] = &[
    Check {
        what: "files have at most 500 lines: split it by what its parts do",
        run: |source| {
            let lines = source.text.lines().count();
            let is_long = lines > FILE_LINES_MAX;
            is_long.then(|| at(lines, "the last line")).into_iter().collect()
        },
        bad: &[("src/a.rs", LONG_FILE)],
        good: &[("src/a.rs", "fn a() {}\n")],
    },
    Check {
        what: "functions have at most 70 lines: give its steps names",
        run: long_functions,
        bad: &[("src/a.rs", LONG_FUNCTION)],
        good: &[("src/a.rs", "fn a();\nfn b() {\n}\n")],
    },
    Check {
        what: "lines have at most 100 columns",
        run: |source| {
            let lines = source.text.lines().enumerate();
            let long = lines.filter(|(_, line)| line.chars().count() > COLUMNS_MAX);
            long.map(|(number, _)| at(number + 1, "a long line")).collect()
        },
        bad: &[("src/a.rs", LONG_LINE)],
        good: &[("src/a.rs", "// short\n")],
    },
    Check {
        what: "say why it holds with expect, or handle it",
        run: |source| {
            let is_ours = source.is_under(&["src/", "cli/src/", "control/src/", "loadtest/src/"]);
            let code = source.without_tests();
            if is_ours { find_words(&code, "unwrap") } else { Vec::new() }
        },
        bad: &[("src/a.rs", "fn a() { b.unwrap() }")],
        good: &[
            ("src/a.rs", "#[cfg(test)]\nmod tests { fn a() { b.unwrap() } }"),
            ("src/a.rs", "// unwrap\nfn a() { b.unwrap_or(1) }"),
        ],
    },
    Check {
        what: "finish it, or write an issue",
        run: |source| {
            let words = ["todo", "unimplemented", "dbg"];
            let mut findings: Vec<Finding> =
                words.iter().flat_map(|word| find_words(&source.code, word)).collect();
            if !source.path.starts_with("tests/tidy/") {
                let reminders = ["TODO", "FIXME", "XXX", "HACK"];
                findings.extend(reminders.iter().flat_map(|word| find_words(&source.text, word)));
            }
            findings
        },
        bad: &[("src/a.rs", "// TODO"), ("src/a.rs", "fn a() { todo!() }")],
        good: &[("src/a.rs", "// to do")],
    },
    Check {
        what: "the server logs with tracing; what its program writes by itself may get lost, which \
               is no reason to panic",
        run: |source| {
            if !source.is_under(&["src/", "cli/src/", "control/src/"]) {
                return Vec::new();
            }
            let prints = ["println", "eprintln", "print", "eprint"];
            prints.iter().flat_map(|word| find_words(&source.code, word)).collect()
        },
        bad: &[("src/a.rs", "fn a() { println!(); }"), ("cli/src/main.rs", "eprintln!();")],
        good: &[
            ("cli/src/main.rs", "fn a() { let _ = writeln!(io::stderr()); }"),
            ("tests/a.rs", "println!();"),
        ],
    },
    Check {
        what: "a lint is allowed with its reason, and no test is left out",
        run: |source| {
            let marks = ["#[allow(", "#![allow(", "#[expect(", "#![expect(", "#[ignore"];
            let found = marks.iter().flat_map(|mark| source.code.match_indices(mark));
            let silent = found.filter(|(start, mark)| {
                let end =
                    source.code[*start..].find(']').map_or(source.code.len(), |at| start + at);
                mark.ends_with("ignore") || !source.code[*start..end].contains("reason")
            });
            silent.map(|(start, mark)| at(line_of(&source.code, start), mark)).collect()
        },
        bad: &[("src/a.rs", "#[allow(dead_code)]"), ("tests/a.rs", "#[ignore]")],
        good: &[("src/a.rs", "#[allow(dead_code, reason = \"it is used elsewhere\")]")],
    },
    Check {
        what: "the methods of a type stand in the file of the type",
        run: |source| {
            let rooms = ["src/worker/", "src/hub/", "src/protocol/"];
            if !source.is_under(&rooms) { Vec::new() } else { strangers(source) }
        },
        bad: &[("src/worker/a.rs", "impl<W> Core<W> {}"), ("src/hub/a.rs", "impl Hub {}")],
        good: &[
            ("src/worker/a.rs", "struct Core<W>(W); impl<W: Fn(u8) -> u8> Core<W> {}"),
            ("src/worker/b.rs", "impl Clone for Core {}"),
        ],
    },
    Check {
        what: "a type has at most 16 fields",
        run: |source| {
            let rooms = ["src/worker/", "src/hub/", "src/protocol/"];
            if !source.is_under(&rooms) { Vec::new() } else { large_types(source) }
        },
        bad: &[(
            "src/hub/a.rs",
            "struct A<T> { a: T, b: T, c: T, d: T, e: T, f: T, g: T, h: T, i: T, j: T, k: T, l: T, \
             m: T, n: T, o: T, p: T, q: T }",
        )],
        good: &[("src/hub/a.rs", "struct A { a: HashMap<u8, [u8; 3]>, b: (u8, u8) }")],
    },
    Check {
        what: "a folder's mod.rs says first what it does, and then what it never does",
        run: |source| {
            if !source.path.starts_with("src/") || !source.path.ends_with("/mod.rs") {
                return Vec::new();
            }
            let doc: Vec<&str> =
                source.text.lines().take_while(|line| line.starts_with("//!")).collect();
            let says = doc.iter().any(|line| line.contains("never"));
            if says { Vec::new() } else { vec![at(1, "no word of it")] }
        },
        bad: &[("src/a/mod.rs", "//! It does this.\n")],
        good: &[("src/a/mod.rs", "//! It does this.\n//!\n//! It never does that.\n")],
    },
    Check {
        what: "scripts begin with a shebang and stop at the first failure",
        run: |source| {
            if source.is_rust() {
                return Vec::new();
            }
            // What is only sourced has neither, and says so to the linter.
            let is_sourced = source.text.starts_with("# shellcheck shell=bash");
            let is_sound = is_sourced
                || source.text.starts_with("#!") && source.text.contains("set -euo pipefail");
            if is_sound { Vec::new() } else { vec![at(1, "neither or one of them")] }
        },
        bad: &[("scripts/a.sh", "echo a\n")],
        good: &[("scripts/a.sh", "#!/usr/bin/env bash\nset -euo pipefail\n")],
    },
];

fn at(line: usize, detail: &str) -> Finding {
    Finding { line, detail: detail.to_owned() }
}

fn long_functions(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    let starts = source.code.match_indices("fn ").filter(|(start, _)| {
        let before = source.code[..*start].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    });
    let mut findings = Vec::new();
    for (start, _) in starts {
        let end = body_end(&source.code, start).unwrap_or(source.code.len());
        let lines = source.code[start..end].matches('\n').count() + 1;
        if lines > FUNCTION_LINES_MAX {
            findings.push(at(line_of(&source.code, start), &format!("{lines} lines")));
        }
    }
    findings
}

const LONG_FUNCTION: &str = concat!("fn a() {\n", include_str!("many_lines.txt"), "}\n");

const LONG_FILE: &str = concat!(
    include_str!("many_lines.txt"),
    include_str!("many_lines.txt"),
    include_str!("many_lines.txt"),
    include_str!("many_lines.txt"),
    include_str!("many_lines.txt"),
    include_str!("many_lines.txt"),
);

const LONG_LINE: &str = "// 34567890123456789012345678901234567890123456789012345678901234567890\
                         1234567890123456789012345678901";

/// Inherent `impl` blocks of types that are defined elsewhere.
fn strangers(source: &Source) -> Vec<Finding> {
    let name_of = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut findings = Vec::new();
    for (start, _) in source.code.match_indices("impl") {
        let before = &source.code[..start];
        let is_item = start == 0 || before.ends_with('\n') || before.ends_with("; ");
        let Some(block) = source.code[start..].find('{') else { continue };
        let head = behind_generics(&source.code[start + "impl".len()..start + block]);
        let Some(head) = head.filter(|head| is_item && !head.contains(" for ")) else { continue };
        let name = name_of(head);
        let is_here = ["struct", "enum", "union"].iter().any(|kind| {
            let words = format!("{kind} {name}");
            source.code.match_indices(&words).any(|(found, _)| {
                let next = source.code[found + words.len()..].chars().next();
                !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
            })
        });
        if !name.is_empty() && !is_here {
            let line = line_of(&source.code, start);
            findings.push(Finding { line, detail: format!("impl {name}") });
        }
    }
    findings
}

/// What stands behind `impl` and its generics; nothing if it is no item, as in `impl Fn()`.
fn behind_generics(text: &str) -> Option<&str> {
    if text.contains(['(', ';', '=']) && !text.starts_with('<') {
        return None;
    }
    if !text.starts_with('<') {
        return text.starts_with(char::is_whitespace).then_some(text);
    }
    let mut depth = 0;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&text[at + 1..]);
        }
        before = c;
    }
    None
}

/// Structs of more than 16 fields.
fn large_types(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (start, _) in source.code.match_indices("struct ") {
        let rest = &source.code[start..];
        let Some(open) = rest.find(['{', ';', '(']) else { continue };
        if !rest[open..].starts_with('{') {
            continue;
        }
        let Some(end) = body_end(&source.code, start) else { continue };
        let body = &source.code[start + open + 1..end - 1];
        // A colon that stands alone, outside of brackets, is that of a field.
        let (mut depth, mut fields) = (0, 0);
        for (at, c) in body.char_indices() {
            match c {
                '<' | '(' | '[' | '{' => depth += 1,
                '>' | ')' | ']' | '}' => depth -= 1,
                ':' if depth == 0 => {
                    let is_path = body[at + 1..].starts_with(':') || body[..at].ends_with(':');
                    fields += usize::from(!is_path);
                }
                _ => {}
            }
        }
        if fields > 16 {
            let line = line_of(&source.code, start);
            findings.push(Finding { line, detail: format!("{fields} fields") });
        }
    }
    findings
}
