//! Who may connect to Unix sockets.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use testkit::client::Client;
use testkit::process::Launch;

use crate::support::{PROGRAM, Scratch, ms, skip};

/// A group that this process may give files to.
fn own_group() -> u32 {
    fs::metadata("/proc/self").expect("proc(5)").gid()
}

#[test]
fn mode_and_group_are_those_that_were_asked_for() {
    let scratch = Scratch::new();
    let is_root = fs::metadata("/proc/self").expect("proc(5)").uid() == 0;
    let group = if is_root { 12_345 } else { own_group() };
    for (mode, bits) in [("0660", 0o660), ("602", 0o602), ("0777", 0o777)] {
        let unix = scratch.unix("throng.sock");
        let args = ["--listen", &unix, "--unix-mode", mode, "--unix-group", &group.to_string()];
        let umask = ["sh", "-c", "umask 077 && exec \"$@\"", "sh"];
        let server = Launch::new(PROGRAM).args(args).wrapped(umask).start();
        let path = scratch.path().join("throng.sock");
        let metadata = fs::symlink_metadata(&path).expect("it listens there");
        assert_eq!((metadata.mode() & 0o7777, metadata.gid()), (bits, group));
        drop(Client::open(server.address(), "/echo"));
    }
}

#[test]
fn a_group_that_is_not_there_or_not_to_be_given_is_told() {
    let scratch = Scratch::new();
    let unix = scratch.unix("throng.sock");
    let args = ["--listen", &unix, "--unix-group", "no-such-group"];
    let finished = Launch::new(PROGRAM).args(args).run(ms(10_000));
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("there is no group no-such-group"), "{}", finished.stderr);
    assert!(!scratch.path().join("throng.sock").exists(), "its path is removed again");
}

/// Between bind(2) and listen(2) nobody can connect, so that there is no moment with other rights.
#[test]
fn mode_and_group_are_set_before_it_listens() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("no strace here; install with: scripts/install-test-tools.sh");
    }
    let scratch = Scratch::new();
    let log = scratch.path().join("calls");
    let calls = "trace=bind,chmod,lchown,fchownat,listen";
    let strace = ["strace", "-D", "-f", "-q", "-e", "signal=none", "-e", calls, "-o"];
    let strace = strace.map(str::to_owned).into_iter().chain([log.display().to_string()]);
    let unix = scratch.unix("throng.sock");
    let group = own_group().to_string();
    let args = ["--listen", &unix, "--unix-mode", "0660", "--unix-group", &group];
    let server = Launch::new(PROGRAM).args(args).wrapped(strace).start();
    drop(Client::open(server.address(), "/echo"));
    let log = fs::read_to_string(&log).expect("strace wrote it");
    let at = |call: &str| log.find(call).unwrap_or_else(|| panic!("no {call}:\n{log}"));
    let begin = at(" bind(");
    let rights = [at("chown"), at("chmod")];
    let listens = begin + log[begin..].find("listen(").expect("it listens");
    assert!(rights.iter().all(|at| (begin..listens).contains(at)), "{log}");
}
