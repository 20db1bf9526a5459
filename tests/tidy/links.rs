//! Links of the documents: every file and every heading that one leads to is there.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// What a document has: links with their lines, and the anchors of its headings.
#[derive(Debug, Default)]
struct Document {
    links: Vec<(usize, String)>,
    anchors: Vec<String>,
}

impl Document {
    fn read(text: &str) -> Self {
        let mut document = Self::default();
        let mut heading: Option<String> = None;
        let mut seen = HashMap::new();
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    let line = text[..range.start].matches('\n').count() + 1;
                    document.links.push((line, dest_url.into_string()));
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let count: &mut usize = seen.entry(anchor.clone()).or_default();
                    let again = if *count == 0 { String::new() } else { format!("-{count}") };
                    *count += 1;
                    document.anchors.push(anchor + &again);
                }
                Event::Text(piece) | Event::Code(piece) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&piece);
                    }
                }
                _ => {}
            }
        }
        document
    }
}

/// What GitHub makes of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The documents of a folder and of those in it.
fn collect(folder: &Path, documents: &mut HashMap<PathBuf, Document>) {
    for entry in folder.read_dir().expect("it is a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() {
            let is_ours = !name.starts_with('.') && name != "target" && name != "node_modules";
            if is_ours {
                collect(&path, documents);
            }
        } else if name.ends_with(".md") {
            let text = fs::read_to_string(&path).expect("documents are UTF-8");
            documents.insert(path, Document::read(&text));
        }
    }
}

/// What is wrong with a link, seen from the document that has it.
fn fault(documents: &HashMap<PathBuf, Document>, from: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(a, b)| (a, Some(b)));
    let folder = from.parent().expect("a file stands in a folder");
    let target = if file.is_empty() { from.to_owned() } else { folder.join(file) };
    let Ok(target) = target.canonicalize() else { return Some("no such file".into()) };
    let anchor = anchor?;
    match documents.get(&target) {
        Some(document) if document.anchors.iter().any(|found| found == anchor) => None,
        Some(_) => Some("no such heading".into()),
        None => Some("an anchor, but no document of ours".into()),
    }
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().expect("it is there");
    let mut documents = HashMap::new();
    collect(&root, &mut documents);
    assert!(documents.contains_key(&root.join("README.md")), "{:?}", documents.keys());
    let mut faults = Vec::new();
    for (path, document) in &documents {
        for (line, link) in &document.links {
            if let Some(fault) = fault(&documents, path, link) {
                faults.push(format!("{}:{line}: {link}: {fault}", path.display()));
            }
        }
    }
    faults.sort();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_broken_link_is_found_and_a_good_one_passes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().expect("it is there");
    let text = "# A `b`, c!\n## Twice\n## Twice\n```\n[no](link.md)\n```\n[x](y.md), ![z](#w)\n";
    let document = Document::read(text);
    assert_eq!(document.anchors, ["a-b-c", "twice", "twice-1"]);
    assert_eq!(document.links, [(7, "y.md".to_owned()), (7, "#w".to_owned())]);
    let here = root.join("README.md");
    let documents = HashMap::from([(here.clone(), document)]);
    for good in ["#twice-1", "README.md#a-b-c", "docs", "Cargo.toml", "https://a.example/#b"] {
        assert_eq!(fault(&documents, &here, good), None, "{good}");
    }
    for bad in ["#w", "y.md", "README.md#w", "Cargo.toml#w", "../y.md"] {
        assert!(fault(&documents, &here, bad).is_some(), "{bad}");
    }
}
