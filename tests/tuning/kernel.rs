//! The script on this kernel.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use testkit::process::{Finished, Launch};

use crate::conf::{Entry, entries};
use crate::place::{Place, run, skip};

/// A network namespace that lasts as long as this; its keys are nobody else's.
#[derive(Debug)]
struct Namespace(Child);

impl Namespace {
    /// Says why if there can be none.
    fn new() -> Option<Self> {
        if fs::metadata("/proc/self").is_ok_and(|own| own.uid() != 0) {
            skip("only root makes network namespaces");
            return None;
        }
        let mut command = Command::new("unshare");
        command.args(["--net", "sleep", "60"]).stdin(Stdio::null()).stderr(Stdio::null());
        let mut namespace = Self(command.spawn().expect("util-linux is on every Linux"));
        let until = Instant::now() + Duration::from_secs(5);
        // It is there as soon as unshare has become sleep.
        while namespace.name() != "sleep\n" {
            let has_ended = namespace.0.try_wait().expect("it is a child of ours").is_some();
            if has_ended || Instant::now() > until {
                skip("`unshare --net` fails here");
                return None;
            }
            thread::sleep(Duration::from_millis(2));
        }
        Some(namespace)
    }

    fn name(&self) -> String {
        fs::read_to_string(format!("/proc/{}/comm", self.0.id())).unwrap_or_default()
    }

    /// Runs something in it.
    fn run(&self, launch: Launch) -> Finished {
        let net = format!("--net=/proc/{}/ns/net", self.0.id());
        run(&launch.wrapped(["nsenter", &net]))
    }

    fn value(&self, key: &str) -> String {
        self.run(Launch::new("cat").args([path(key)])).stdout
    }

    /// Whether it has a value of its own of this key.
    fn owns(&self, key: &str) -> bool {
        let is_writable = self.run(Launch::new("test").args(["-w".into(), path(key)]));
        key.starts_with("net.") && is_writable.code == Some(0)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Values of this host; what differs at the end is put back.
struct Kept(Vec<(PathBuf, String)>);

impl Kept {
    fn new(entries: &[Entry]) -> Self {
        let value = |entry: &Entry| Some((path(&entry.key), read(&entry.key)?));
        Self(entries.iter().filter_map(value).collect())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for (path, value) in &self.0 {
            if fs::read_to_string(path).is_ok_and(|now| now != *value) {
                // The test has failed by then, and says what it has found.
                let _ = fs::write(path, value);
            }
        }
    }
}

fn path(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(key.replace('.', "/"))
}

fn read(key: &str) -> Option<String> {
    fs::read_to_string(path(key)).ok()
}

/// Applies twice, checks and reverts; looks at the values of each in between.
fn round_trip(
    place: &Place,
    entries: &[Entry],
    run: impl Fn(Launch) -> Finished,
    value: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let values = || entries.iter().map(|entry| value(&entry.key)).collect::<Vec<_>>();
    let succeed = |action| {
        let finished = run(place.script(action, entries));
        assert_eq!(finished.code, Some(0), "{action}: {finished:?}");
        finished.stdout
    };
    let (files, before) = (place.contents(), values());
    let announced = succeed("--apply");
    let applied = values();
    succeed("--check");
    let again = succeed("--apply");
    assert!(again.ends_with("nothing to do\n"), "{again}");
    assert_eq!(values(), applied);
    succeed("--revert");
    assert_eq!(values(), before, "each is what it was");
    assert_eq!(place.contents(), files);
    let changed = entries.iter().zip(before).zip(applied);
    let changed = changed.filter(|((_, before), applied)| before != applied);
    let changed: Vec<String> = changed.map(|((entry, _), _)| entry.key.clone()).collect();
    for key in &changed {
        assert!(announced.contains(&format!("will set {key}: ")), "{key}:\n{announced}");
    }
    changed
}

#[test]
fn every_key_of_a_network_namespace_comes_back() {
    let Some(namespace) = Namespace::new() else { return };
    let own: Vec<Entry> =
        entries().into_iter().filter(|entry| namespace.owns(&entry.key)).collect();
    let run = |launch| namespace.run(launch);
    let changed = round_trip(&Place::new(), &own, run, |key| Some(namespace.value(key)));
    // What a new namespace begins with, whatever the host has.
    for key in ["net.core.somaxconn", "net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_fin_timeout"] {
        assert!(changed.iter().any(|changed| changed == key), "{key} is not in {changed:?}");
    }
}

#[test]
fn every_other_key_comes_back_on_the_host() {
    let Some(namespace) = Namespace::new() else { return };
    let is_ours = |entry: &Entry| !namespace.owns(&entry.key) && path(&entry.key).exists();
    let ours: Vec<Entry> = entries().into_iter().filter(is_ours).collect();
    let unwritable = Launch::new("test").args(["-w".into(), path(&ours[0].key)]);
    if run(&unwritable).code != Some(0) {
        return skip("/proc/sys may not be written here");
    }
    let kept = Kept::new(&ours);
    assert!(kept.0.len() >= 3, "{:?}", kept.0);
    round_trip(&Place::new(), &ours, |launch| run(&launch), read);
}

#[test]
fn a_value_that_the_kernel_refuses_is_told_and_left() {
    let Some(namespace) = Namespace::new() else { return };
    let mut entries = entries();
    entries.retain(|entry| {
        ["net.ipv4.tcp_syncookies", "net.core.somaxconn"].contains(&entry.key.as_str())
    });
    for entry in entries.iter_mut().filter(|entry| entry.key.ends_with("syncookies")) {
        entry.value = vec![1000];
    }
    let place = Place::new();
    let files = place.contents();
    let before = namespace.value("net.ipv4.tcp_syncookies");
    let finished = namespace.run(place.script("--apply", &entries));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let says = "net.ipv4.tcp_syncookies: the kernel refuses it, left at 1";
    assert!(finished.stdout.contains(says), "{finished:?}");
    assert_eq!(namespace.value("net.ipv4.tcp_syncookies"), before);
    assert_eq!(namespace.value("net.core.somaxconn"), "65535\n");
    let boot = fs::read_to_string(place.path("etc/sysctl.d/99-throng.conf")).expect("it is there");
    assert!(!boot.contains("syncookies"), "{boot}");
    let finished = namespace.run(place.script("--revert", &entries));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_ne!(namespace.value("net.core.somaxconn"), "65535\n");
    assert_eq!(place.contents(), files);
}
