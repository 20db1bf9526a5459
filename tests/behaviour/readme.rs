//! What README.md and docs/operator.md show in a shell and in a file works as it stands there.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use testkit::client::Client;
use testkit::process::Process;
use throng::config::Backend;

use crate::embedders::ROOT;
use crate::support::{PROGRAM, Scratch, launch};

/// The code blocks of a document in one language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(ROOT).join(document)).expect("it is there");
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == format!("```{language}") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

/// The block of that language which has these words.
fn block(document: &str, language: &str, words: &str) -> String {
    let mut found = blocks(document, language);
    found.retain(|block| block.contains(words));
    assert_eq!(found.len(), 1, "one block of {document} has {words:?}: {found:?}");
    found.remove(0)
}

/// Runs lines of a shell in a folder, with the program under its name.
fn shell(lines: &str, folder: &Path) -> Output {
    let name = folder.join("throng");
    if !name.exists() {
        std::os::unix::fs::symlink(PROGRAM, &name).expect("the folder is ours");
    }
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let lines = format!("set -e\n{lines}");
    let mut shell = Command::new("bash");
    shell.args(["-c", &lines]).current_dir(folder).env("PATH", path).env("THRONG_OPERATOR", "off");
    shell.output().expect("bash is there")
}

/// The same, with the ports of a server in the place of those by default.
fn curl(server: &Process, lines: &str, folder: &Path) -> String {
    let operator = server.log();
    let operator = operator.lines().find_map(|line| line.split("operator port on http://").nth(1));
    let operator = operator.expect("it is told").trim();
    let lines = lines
        .replace("127.0.0.1:8080", &server.address().to_string())
        .replace("127.0.0.1:8081", operator)
        .replace("curl ", "curl --silent --show-error ");
    let output = shell(&lines, folder);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{lines}\n{said}{output:?}");
    said
}

fn server() -> Process {
    launch(Backend::Auto, &["--workers", "2"]).args(["--operator", "127.0.0.1:0"]).start()
}

#[test]
fn what_a_shell_says_comes_to_all_in_the_room() {
    let (scratch, server) = (Scratch::new(), server());
    let mut members: Vec<Client> =
        ["/", "/room/lobby", "/room/lobby"].map(|path| Client::open(server.address(), path)).into();
    let lines = block("README.md", "sh", "/api/rooms/lobby");
    let said = curl(&server, &lines, scratch.path());
    for member in &mut members {
        assert_eq!(member.frame().payload, b"hello, everybody");
    }
    let objects: Vec<Value> = serde_json::Deserializer::from_str(&said)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(objects[0]["result"]["members"], 3, "{said}");
    assert_eq!((&objects[1]["room"], &objects[1]["members"]), (&"lobby".into(), &3.into()));
}

#[test]
fn what_the_operators_page_shows_is_answered() {
    let (scratch, server) = (Scratch::new(), server());
    let mut member = Client::open(server.address(), "/room/lobby");
    let lines = block("docs/operator.md", "sh", "/api/batch");
    let said = curl(&server, &lines, scratch.path());
    for expected in [&b"hello, everybody"[..], b"{\"goal\":1}"] {
        assert_eq!(member.frame().payload, expected, "{said}");
    }
    assert!(said.contains("\"replies\""), "{said}");
}

#[test]
fn the_file_that_is_shown_is_good_and_does_what_is_said_of_it() {
    let scratch = Scratch::new();
    let file = scratch.path().join("shown.toml");
    fs::write(&file, block("README.md", "toml", "[[rooms]]")).expect("the folder is ours");
    let path = file.display().to_string();
    let server = launch(Backend::Auto, &["--config", &path, "--workers", "1"]).start();
    let mut member = Client::open(server.address(), "/chat");
    let mut other = Client::open(server.address(), "/room/lobby");
    other.write(&testkit::client::text("hello"));
    assert_eq!(member.frame().payload, b"hello");
    let mut reader = Client::open(server.address(), "/room/news-de");
    reader.write(&testkit::client::text("mine"));
    assert_eq!(reader.close_code(), 1008);
}

#[test]
fn commands_about_options_do_what_is_said_of_them() {
    let scratch = Scratch::new();
    let lines = block("README.md", "sh", "throng config default");
    // The last one serves, until it is told to stop.
    let lines = lines
        .replace("throng --config", "timeout --foreground --preserve-status 1 throng --config");
    let lines = lines.replace("--workers 4", "--workers 4 --listen 127.0.0.1:0");
    let output = shell(&lines, scratch.path());
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{lines}\n{output:?}");
    assert!(log.contains("4 workers") && log.contains("stopped: "), "{log}");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("ok\n"), "{output:?}");
}
