//! Source files, with comments and literals blanked so that words in them do not count.

use std::fs;
use std::path::Path;

/// A file of the tree.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the root, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments, strings and characters blanked; lines stay where they are.
    pub(crate) code: String,
}

/// A place that breaks a rule.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) line: usize,
    pub(crate) detail: String,
}

/// Every source and script of the repository.
pub(crate) fn tree() -> Vec<Source> {
    let mut sources = Vec::new();
    let folders = [
        "src",
        "cli/src",
        "control/src",
        "tests",
        "benches",
        "examples",
        "loadtest/src",
        "testkit/src",
    ];
    for folder in folders.iter().chain(&["scripts"]) {
        collect(Path::new(env!("CARGO_MANIFEST_DIR")), folder, &mut sources);
    }
    sources
}

fn collect(root: &Path, folder: &str, sources: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{folder}/{name}");
        if ["node_modules", "target"].contains(&name.as_str()) {
            continue;
        }
        if entry.path().is_dir() {
            collect(root, &path, sources);
        } else if name.ends_with(".rs") || name.ends_with(".sh") {
            let text = fs::read_to_string(entry.path()).expect("sources are UTF-8");
            sources.push(Source::new(&path, &text));
        }
    }
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let is_rust = path.ends_with(".rs");
        let code = if is_rust { blank(text) } else { text.to_owned() };
        Self { path: path.to_owned(), text: text.to_owned(), code }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(crate) fn is_under(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path == *place || self.path.starts_with(place))
    }

    /// The code without its unit tests.
    pub(crate) fn without_tests(&self) -> String {
        let mut code = self.code.clone();
        while let Some(start) = code.find("#[cfg(test)]") {
            let end = body_end(&code, start).unwrap_or(code.len());
            code.replace_range(start..end, &keep_lines(&code[start..end]));
        }
        code
    }
}

/// Places where words stand, by themselves or as a path: `std::net`, `unsafe`.
pub(crate) fn find_words(code: &str, word: &str) -> Vec<Finding> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let matches = code.match_indices(word).filter(|(at, _)| {
        let before = code[..*at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    });
    matches.map(|(at, _)| Finding { line: line_of(code, at), detail: word.to_owned() }).collect()
}

pub(crate) fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// The end of the block that opens behind `start`; a semicolon before it means there is none.
pub(crate) fn body_end(code: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut brackets = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b';' if depth == 0 && brackets == 0 => return Some(at + 1),
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at + 1),
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn keep_lines(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect()
}

fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let length = literal_or_comment(rest);
        if length > 0 {
            code.push_str(&keep_lines(&rest[..length]));
            rest = &rest[length..];
            continue;
        }
        // A whole word at once, so that an r or b at its end begins no literal.
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let step = if word > 0 { word } else { rest.chars().next().map_or(0, char::len_utf8) };
        code.push_str(&rest[..step]);
        rest = &rest[step..];
    }
    code
}

/// The length of the comment or literal that `text` begins with, or 0.
fn literal_or_comment(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |end| end + 2);
    }
    let prefix = text.len() - text.trim_start_matches(['b', 'c']).len();
    let literal = if prefix <= 1 { &text[prefix..] } else { text };
    let length = match literal.as_bytes() {
        [b'"', ..] => quoted(literal),
        [b'r', b'"' | b'#', ..] => raw(literal),
        [b'\'', ..] => character(literal),
        _ => 0,
    };
    if length > 0 { length + text.len() - literal.len() } else { 0 }
}

fn quoted(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    if text.as_bytes().get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let start = 2 + hashes;
    text[start..].find(&end).map_or(text.len(), |at| start + at + end.len())
}

/// A character, but not a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some(_)) => text[3..].find('\'').map_or(0, |at| at + 4),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

#[test]
fn literals_and_comments_are_blanked() {
    let text = "a \"b\\\"c\" r#\"d\"# 'e' '\\n' b\"f\" &'g h // i\n/* j\n */ k for";
    let words: Vec<String> = blank(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["a", "&'g", "h", "k", "for"]);
    assert_eq!(blank(text).matches('\n').count(), 2);
}
