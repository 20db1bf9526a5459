//! What packages are made of: the image, in a chroot of which the program serves; health checks;
//! pages of the manual and completions.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::client::{Client, text};
use testkit::process::{Finished, Launch, Signal};
use throng::config::Backend;

use crate::embedders::ROOT;
use crate::support::{PATIENCE, PROGRAM, Scratch, skip};

on_both!(the_image_has_all_that_the_program_needs);

/// What the image declares as its user.
const USER: &str = "65532:65532";

/// Runs what is expected to succeed.
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program} {args:?}:\n{text}");
    text
}

/// The files of the image, in a folder.
fn image() -> Scratch {
    let scratch = Scratch::new();
    let folder = scratch.path().to_str().expect("it is UTF-8");
    run(&format!("{ROOT}/scripts/image-root.sh"), &[PROGRAM, folder]);
    scratch
}

fn the_image_has_all_that_the_program_needs(backend: Backend) {
    if !nix::unistd::geteuid().is_root() {
        return skip("chroot is for root");
    }
    let image = image();
    let root = image.path().display().to_string();
    let user = format!("--userspec={USER}");
    let name = crate::support::name(backend);
    let launch = Launch::new("/usr/bin/throng").wrapped(["chroot", &user, &root]);
    let mut server = launch.clone().args(["--listen", "127.0.0.1:0", "--backend", name]).start();
    let mut client = Client::open(server.address(), "/room/a");
    client.write(&text("hello"));
    assert_eq!(client.frame().payload, b"hello");
    let url = format!("http://{}/", server.tcp());
    let health = launch.args(["health", &url]);
    assert_eq!(health.run(PATIENCE).code, Some(0));
    server.signal(Signal::SIGTERM);
    assert_eq!(client.close_code(), 1001);
    drop(client);
    assert_eq!(server.exit_code(PATIENCE), 0);
    let finished = health.run(PATIENCE);
    assert_eq!(finished.code, Some(1), "nobody is there any more");
    assert!(finished.stderr.contains(&url), "{}", finished.stderr);
}

#[test]
fn dockerfile_and_compose_say_what_is_tested() {
    let read = |name: &str| fs::read_to_string(format!("{ROOT}/packaging/{name}"));
    let dockerfile = read("Dockerfile").expect("it is there");
    for line in [
        "RUN scripts/image-root.sh target/release/throng /image",
        "COPY --from=build /image /",
        &format!("USER {USER}"),
        "CMD [\"/usr/bin/throng\", \"health\", \"http://127.0.0.1:8081/health\"]",
        "ENTRYPOINT [\"/usr/bin/throng\"]",
    ] {
        assert!(dockerfile.lines().any(|found| found.trim() == line), "no such line: {line}");
    }
    let compose = read("compose.yaml").expect("it is there");
    let mounted = compose.lines().filter_map(|line| line.trim().strip_prefix("- ./"));
    for name in mounted.filter_map(|mount| mount.split(':').next()) {
        assert!(Path::new(&format!("{ROOT}/packaging/{name}")).exists(), "compose has {name}");
    }
}

fn health(url: &str) -> Finished {
    Launch::new(PROGRAM).args(["health", url]).run(PATIENCE)
}

#[test]
fn health_is_a_status_of_success_and_nothing_else() {
    let server = crate::support::server(Backend::Auto, &[]);
    let at = server.tcp();
    assert_eq!(health(&format!("http://{at}")).code, Some(0));
    let finished = health(&format!("http://{at}/nowhere"));
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.ends_with("/nowhere: it answers 404\n"), "{}", finished.stderr);
    let finished = health("https://localhost/");
    assert_eq!(finished.code, Some(2), "an operator's fault is one of the command line");
    assert!(finished.stderr.contains("http://127.0.0.1:8080/"), "{}", finished.stderr);
}

#[test]
fn the_manual_has_a_page_for_each_command_and_a_line_for_each_option() {
    let scratch = Scratch::new();
    let folder = scratch.path().to_str().expect("it is UTF-8");
    run(PROGRAM, &["man", folder]);
    let page = |name: &str| fs::read_to_string(scratch.path().join(name)).expect("it is there");
    assert_eq!(run(PROGRAM, &["man"]), page("throng.1"), "one is printed");
    for name in ["serve", "doctor", "config", "config-check", "health"] {
        assert!(page(&format!("throng-{name}.1")).contains(".SH NAME"), "{name}");
    }
    let help = run(PROGRAM, &["--help"]);
    // roff writes a hyphen that is not to become a dash with a backslash.
    let manual = page("throng.1").replace('\\', "");
    let flags = help.lines().filter_map(|line| line.split("--").nth(1)?.split([' ', '[']).next());
    let flags: Vec<&str> = flags.collect();
    assert!(flags.len() > 20, "{flags:?}");
    for flag in flags {
        assert!(manual.contains(&format!("--{flag}")), "{flag} is not in the manual");
    }
    assert!(manual.contains("Time to show life after a ping"), "what -h leaves out is there too");
}

#[test]
fn shells_understand_the_completions() {
    let scratch = Scratch::new();
    let path = scratch.path().join("throng.bash");
    fs::write(&path, run(PROGRAM, &["completions", "bash"])).expect("it is ours");
    let script = "source \"$1\"; COMP_WORDS=(throng doctor --conn); COMP_CWORD=2; \
                  _throng throng --conn doctor; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let path = path.to_str().expect("it is UTF-8");
    assert_eq!(run("bash", &["-c", script, "bash", path]), "--connections\n");
    for shell in ["zsh", "fish"] {
        assert!(run(PROGRAM, &["completions", shell]).contains("max-backlog"), "{shell}");
    }
}

#[test]
fn the_packaged_file_is_the_default_and_the_unit_reads_it() {
    let read = |name: &str| fs::read_to_string(format!("{ROOT}/packaging/{name}"));
    let file = read("throng.toml").expect("it is there");
    let hint = "throng config default > packaging/throng.toml";
    assert!(run(PROGRAM, &["config", "default"]) == file, "packaging/throng.toml is old: {hint}");
    let unit = read("throng.service").expect("it is there");
    assert!(unit.contains("serve --config /etc/throng/throng.toml\n"), "{unit}");
}
