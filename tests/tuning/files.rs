//! The script on files that stand for the kernel's: what it decides, says and writes.

use std::fs;

use testkit::process::Finished;

use crate::conf::{Entry, entries};
use crate::place::{Place, run};

/// A value that is worse than what the file wants, in each number.
fn worse(entry: &Entry) -> String {
    let worse = entry.value.iter().enumerate().map(|(at, value)| match (entry.rule.as_str(), at) {
        ("at most", _) | ("range", 0) => (value + 1000).to_string(),
        _ => (value / 3).to_string(),
    });
    worse.collect::<Vec<_>>().join("\t") + "\n"
}

/// A value that is better.
fn better(entry: &Entry) -> String {
    let better =
        entry.value.iter().enumerate().map(|(at, value)| match (entry.rule.as_str(), at) {
            ("at most", _) | ("range", 0) => (value / 2).to_string(),
            _ => (value * 2).to_string(),
        });
    better.collect::<Vec<_>>().join("\t") + "\n"
}

fn place(value: fn(&Entry) -> String) -> Place {
    let place = Place::new();
    for entry in entries() {
        place.write_sysctl(&entry.key, &value(&entry));
    }
    place
}

fn succeed(place: &Place, action: &str) -> Finished {
    let finished = place.run(action);
    assert_eq!(finished.code, Some(0), "{action}: {finished:?}");
    assert_eq!(finished.stderr, "", "{action}");
    finished
}

fn line<'a>(finished: &'a Finished, begin: &str) -> &'a str {
    let line = finished.stdout.lines().find(|line| line.starts_with(begin));
    line.unwrap_or_else(|| panic!("no line begins with {begin}:\n{}", finished.stdout))
}

#[test]
fn apply_check_revert_is_a_round_trip_and_every_write_is_announced() {
    let place = place(worse);
    let before = place.contents();
    let finished = place.run("--check");
    assert_eq!(finished.code, Some(1), "{finished:?}");
    for entry in entries() {
        let verdict = line(&finished, &entry.key).rsplit(' ').next();
        assert!(matches!(verdict, Some("low" | "high" | "narrow")), "{}: {verdict:?}", entry.key);
    }
    assert_eq!(place.contents(), before, "to check changes nothing");

    let finished = succeed(&place, "--apply");
    let applied = place.contents();
    let (announced, _) = finished.stdout.split_once("done").expect("it ends with that");
    let says = |word: &str| announced.lines().any(|line| line.split([' ', ':']).any(|w| w == word));
    let changed = applied.iter().filter(|(path, words)| before.get(*path) != Some(words));
    for (path, _) in changed {
        let key = path.strip_prefix(place.path("sys")).ok();
        let key = key.map(|key| key.display().to_string().replace('/', "."));
        let name = key.unwrap_or_else(|| path.display().to_string());
        assert!(says(&name), "{name} was not announced:\n{announced}");
    }
    let from_when = "nofile and memlock count from the next login";
    assert!(finished.stdout.contains(from_when), "{finished:?}");
    for entry in entries().iter().filter(|entry| entry.rule != "within memory") {
        assert_eq!(place.sysctl(&entry.key), entry.value, "{}", entry.key);
    }
    succeed(&place, "--check");

    let finished = succeed(&place, "--apply");
    assert_eq!(finished.stdout, "nothing to do\n");
    assert_eq!(place.contents(), applied, "applying twice is applying once");

    succeed(&place, "--revert");
    assert_eq!(place.contents(), before);
    let finished = succeed(&place, "--revert");
    assert!(finished.stdout.starts_with("nothing to revert"), "{finished:?}");
    assert_eq!(place.contents(), before);
}

#[test]
fn a_second_apply_does_not_forget_what_was_there_first() {
    let place = place(worse);
    let before = place.contents();
    succeed(&place, "--apply");
    // As after a boot without the file in sysctl.d, with other values than before.
    place.write_sysctl("net.core.somaxconn", "128\n");
    place.write_sysctl("net.ipv4.tcp_fin_timeout", "61\n");
    fs::remove_file(place.path("etc/security/limits.d/99-throng.conf")).expect("it is installed");
    assert_eq!(place.run("--check").code, Some(1));
    succeed(&place, "--apply");
    succeed(&place, "--check");
    succeed(&place, "--revert");
    assert_eq!(place.contents(), before);
}

#[test]
fn values_that_are_better_stay() {
    let place = place(better);
    let checked = place.run("--check");
    for entry in entries() {
        assert!(line(&checked, &entry.key).ends_with(" ok"), "{checked:?}");
    }
    let before = place.contents();
    let finished = succeed(&place, "--apply");
    assert!(!finished.stdout.contains("will set"), "{finished:?}");
    assert!(!place.path("etc/sysctl.d/99-throng.conf").exists(), "there is nothing to set at boot");
    succeed(&place, "--check");
    succeed(&place, "--revert");
    assert_eq!(place.contents(), before);
}

#[test]
fn of_several_numbers_each_becomes_the_better_one() {
    let place = place(worse);
    place.write_sysctl("net.ipv4.tcp_mem", "90000000\t90000001\t90000002\n");
    place.write_sysctl("net.ipv4.ip_local_port_range", "1024\t60999\n");
    succeed(&place, "--apply");
    assert_eq!(place.sysctl("net.ipv4.tcp_mem"), [90_000_000, 90_000_001, 90_000_002]);
    assert_eq!(place.sysctl("net.ipv4.ip_local_port_range"), [1024, 65535]);
}

#[test]
fn tcp_gets_a_third_of_the_memory_at_most() {
    let place = place(worse);
    place.write_sysctl("net.ipv4.tcp_mem", "1\t2\t3\n");
    succeed(&place, "--apply");
    let meminfo = fs::read_to_string("/proc/meminfo").expect("this is Linux");
    let kib = meminfo.split_ascii_whitespace().nth(1).expect("MemTotal comes first");
    let third = kib.parse::<u64>().expect("it is a number") / 4 / 3;
    let [low, pressure, max] = place.sysctl("net.ipv4.tcp_mem")[..] else { panic!("three") };
    assert_eq!(max, third.min(4_000_000));
    assert!(low.abs_diff(max / 2) <= 1 && pressure.abs_diff(max / 4 * 3) <= 3, "{low} {pressure}");
}

#[test]
fn what_the_kernel_lacks_is_told_and_left() {
    let place = place(worse);
    fs::remove_dir_all(place.path("sys/net/netfilter")).expect("it was written");
    let before = place.contents();
    let finished = succeed(&place, "--apply");
    let told = line(&finished, "net.netfilter.nf_conntrack_max");
    assert!(told.contains("not in this kernel"), "{told}");
    assert!(!place.path("sys/net/netfilter").exists());
    let finished = succeed(&place, "--check");
    let told = line(&finished, "net.netfilter.nf_conntrack_max");
    assert!(told.ends_with("not in this kernel"), "{told}");
    succeed(&place, "--revert");
    assert_eq!(place.contents(), before);
}

#[test]
fn a_key_that_has_gone_since_does_not_stop_the_rest_from_coming_back() {
    let place = place(worse);
    let before = place.sysctl("fs.nr_open");
    succeed(&place, "--apply");
    fs::remove_dir_all(place.path("sys/net/netfilter")).expect("it was written");
    let finished = succeed(&place, "--revert");
    assert!(line(&finished, "net.netfilter.nf_conntrack_max").contains("nothing to put back"));
    assert_eq!(place.sysctl("fs.nr_open"), before);
}

#[test]
fn files_of_somebody_else_are_left_alone() {
    let place = place(worse);
    let theirs = ["etc/sysctl.d/99-throng.conf", "etc/security/limits.d/99-throng.conf"];
    theirs.iter().for_each(|path| place.write(path, "# of the package\n"));
    let before = place.contents();
    let finished = succeed(&place, "--apply");
    for path in theirs {
        let path = place.path(path);
        let told = line(&finished, &path.display().to_string());
        assert!(told.contains("left alone"), "{told}");
        assert_eq!(fs::read_to_string(&path).expect("it stays"), "# of the package\n");
    }
    succeed(&place, "--revert");
    assert_eq!(place.contents(), before);
}

#[test]
fn without_systemd_and_pam_only_the_values_are_set() {
    let place = place(worse);
    fs::remove_dir_all(place.path("run")).expect("it is ours");
    fs::remove_dir_all(place.path("etc/security")).expect("it is ours");
    let before = place.contents();
    succeed(&place, "--apply");
    assert!(!place.path("etc/systemd").exists() && !place.path("etc/security").exists());
    assert!(place.path("etc/sysctl.d/99-throng.conf").exists());
    succeed(&place, "--check");
    succeed(&place, "--revert");
    assert_eq!(place.contents(), before);
}

#[test]
fn what_is_set_at_boot_is_what_was_set_and_no_more() {
    let place = place(worse);
    place.write_sysctl("fs.file-max", "9223372036854775807\n");
    succeed(&place, "--apply");
    let boot = fs::read_to_string(place.path("etc/sysctl.d/99-throng.conf")).expect("it is there");
    assert!(!boot.contains("fs.file-max"), "it would lower it:\n{boot}");
    let lines = boot.lines().filter_map(|line| line.split_once(" = "));
    let mut count = 0;
    for (key, value) in lines {
        assert_eq!(crate::conf::numbers(value), place.sysctl(key), "{key}");
        count += 1;
    }
    assert_eq!(count, entries().len() - 1, "{boot}");
}

#[test]
fn bad_words_get_exit_code_2_and_the_usage() {
    let place = place(worse);
    for action in ["--force", "apply"] {
        let finished = run(&place.script(action, &entries()));
        assert_eq!(finished.code, Some(2), "{action}: {finished:?}");
        assert!(finished.stderr.contains("usage: "), "{action}: {finished:?}");
    }
    let finished = run(&place.script("--apply", &entries()).args(["--now"]));
    assert_eq!(finished.code, Some(2), "{finished:?}");
}
