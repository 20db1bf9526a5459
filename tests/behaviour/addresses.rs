//! Addresses as people write them: each works, or says in a sentence of its own why not.

use std::fs;

use testkit::client::Client;
use testkit::process::Launch;

use crate::forbidden::{Rule, forbid};
use crate::support::{PROGRAM, Scratch, free_port, ms};

fn throng(listen: &[&str]) -> Launch {
    Launch::new(PROGRAM).args(listen.iter().flat_map(|address| ["--listen", address]))
}

/// The line that says why it does not start.
fn cause(listen: &[&str]) -> String {
    let finished = throng(listen).run(ms(20_000));
    assert!(matches!(finished.code, Some(1 | 2)), "{finished:?}");
    let is_cause = |line: &&str| line.starts_with("throng: ") || line.starts_with("error: ");
    finished.stderr.lines().find(is_cause).unwrap_or_else(|| panic!("{finished:?}")).to_owned()
}

#[test]
fn what_cannot_be_listened_on_has_a_sentence_of_its_own() {
    let scratch = Scratch::new();
    fs::write(scratch.path().join("file"), "data").expect("the directory is ours");
    let folder = format!("unix:{}", scratch.path().display());
    let long = scratch.unix(&"a".repeat(108));
    for (listen, says) in [
        (&["nosuchhost.invalid:8081"][..], "names of hosts are not looked up"),
        (&["127.0.0.1:99999"], "99999 is no port"),
        (&["127.0.0.1"], "an address like"),
        (&[&folder], "that is a directory: name a file in it"),
        (&[&long], "that of a Unix socket at most 107"),
        (&[&scratch.unix("file")], "a file that is no socket is there"),
        (&[&scratch.unix("no/throng.sock")], "there is no folder"),
        (&[&scratch.unix("a"), &scratch.unix("a")], "is there twice"),
        (&["127.0.0.1:8081", "localhost:8081"], "127.0.0.1:8081 is there twice"),
        (&["8081", ":8081"], "is there twice"),
    ] {
        let line = cause(listen);
        assert!(line.contains(says), "{listen:?}: {line}");
        let last = listen.last().expect("there is one");
        assert!(line.contains(last) || line.contains("twice"), "{listen:?}: {line}");
    }
    assert_eq!(fs::read_to_string(scratch.path().join("file")).expect("it is there"), "data");
}

#[test]
fn a_port_alone_is_of_all_addresses() {
    for listen in ["PORT", ":PORT", "localhost:PORT"] {
        let port = free_port();
        let server = throng(&[&listen.replace("PORT", &port.to_string())]).start();
        let v4 = Client::connect(&format!("127.0.0.1:{port}").parse().expect("it is one"));
        assert!(v4.is_ok(), "{listen}: {}", server.log());
        if listen.starts_with("localhost") {
            continue;
        }
        let v6 = Client::connect(&format!("[::1]:{port}").parse().expect("it is one"));
        assert!(v6.is_ok(), "{listen}: {}", server.log());
    }
}

#[test]
fn where_the_kernel_has_no_ipv6_it_says_so_or_does_without() {
    let rule = Rule(libc::SYS_socket, libc::EAFNOSUPPORT, Some(libc::AF_INET6));
    let Some(wrapper) = forbid(&[rule]) else { return };
    for (listen, says) in [
        ("[::]:8080", "this kernel has no IPv6; --listen 0.0.0.0:8080"),
        ("[::1]:8080", "this kernel has no IPv6; --listen 127.0.0.1:8080"),
    ] {
        let finished = throng(&[listen]).wrapped(&wrapper).run(ms(20_000));
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.stderr.contains(says), "{}", finished.stderr);
    }
    let server = throng(&[":0"]).wrapped(&wrapper).start();
    assert!(server.address().to_string().starts_with("0.0.0.0:"), "{}", server.log());
    let v4 = format!("127.0.0.1:{}", server.port()).parse().expect("it is one");
    drop(Client::open(&v4, "/echo"));
}
