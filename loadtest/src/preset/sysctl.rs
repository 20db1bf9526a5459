//! Settings of the kernel that a preset changes for its time, and puts back.

use std::fs;
use std::sync::Mutex;

/// The kernel's settings, and which of them were changed: to be put back from anywhere.
static KERNEL: Mutex<Changes> = Mutex::new(Changes::below("/proc/sys"));

/// What was changed.
#[derive(Debug)]
pub(crate) struct Changes {
    root: &'static str,
    /// The name, and what was there before.
    changed: Vec<(&'static str, String)>,
}

/// A setting that must have some value at least in one of its fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// As sysctl(8) names it.
    pub(crate) name: &'static str,
    /// Which of its numbers.
    pub(crate) field: usize,
    pub(crate) at_least: u64,
    /// All of what is to be set.
    pub(crate) value: [u64; 3],
    /// How many numbers it has.
    pub(crate) fields: usize,
    pub(crate) why: &'static str,
}

impl Need {
    fn text(&self) -> String {
        let words: Vec<String> =
            self.value[..self.fields].iter().map(ToString::to_string).collect();
        words.join(" ")
    }

    /// Whether it is so already; a setting that this kernel does not have binds nothing.
    fn is_met(&self, now: &str) -> bool {
        let value = now.split_ascii_whitespace().nth(self.field);
        value.and_then(|value| value.parse::<u64>().ok()).is_none_or(|value| value >= self.at_least)
    }
}

impl Changes {
    /// Settings below a folder, `/proc/sys` but for tests.
    pub(crate) const fn below(root: &'static str) -> Self {
        Self { root, changed: Vec::new() }
    }

    /// Meets a need. Says what was changed, if something was.
    fn meet(&mut self, need: &Need) -> Result<Option<String>, String> {
        let path = self.path(need.name);
        let Ok(before) = fs::read_to_string(&path) else { return Ok(None) };
        if need.is_met(&before) {
            return Ok(None);
        }
        let (before, after) = (before.trim().replace('\t', " "), need.text());
        let (name, why) = (need.name, need.why);
        fs::write(&path, &after).map_err(|error| {
            format!(
                "{name} is `{before}`, too little: {why} ({error}); sudo sysctl -w {name}='{after}'"
            )
        })?;
        self.changed.push((name, before.clone()));
        Ok(Some(format!("set {name} = {after}, was {before}, until the end: {why}")))
    }

    /// Puts all back, what was changed last first; says what could not be.
    fn put_back(&mut self) -> Vec<String> {
        let mut failures = Vec::new();
        while let Some((name, before)) = self.changed.pop() {
            if let Err(error) = fs::write(self.path(name), &before) {
                failures.push(format!(
                    "{name} was not put back: {error}; sudo sysctl -w {name}='{before}'"
                ));
            }
        }
        failures
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{}", self.root, name.replace('.', "/"))
    }
}

/// Meets a need. Says what was changed, if something was.
pub(crate) fn meet(need: &Need) -> Result<Option<String>, String> {
    KERNEL.lock().expect("no holder panics").meet(need)
}

/// Puts all back.
pub(crate) fn put_back() {
    put_back_in(&KERNEL);
}

fn put_back_in(changes: &Mutex<Changes>) {
    let Ok(mut changes) = changes.lock() else { return };
    for failure in changes.put_back() {
        eprintln!("loadtest: {failure}");
    }
}

/// Puts all back when it is dropped.
pub(crate) struct Guard(&'static Mutex<Changes>);

impl Guard {
    /// Of the kernel's settings.
    pub(crate) fn of_kernel() -> Self {
        Self(&KERNEL)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        put_back_in(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEED: Need = Need {
        name: "net.ipv4.tcp_mem",
        field: 2,
        at_least: 100,
        value: [50, 75, 100],
        fields: 3,
        why: "a test",
    };
    const OTHER: Need =
        Need { name: "net.core.somaxconn", field: 0, value: [100, 0, 0], fields: 1, ..NEED };

    /// A folder with settings; both live as long as the process.
    fn settings(name: &str, tcp_mem: &str, somaxconn: &str) -> &'static Mutex<Changes> {
        let folder = std::env::temp_dir().join(format!("loadtest-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("net/ipv4")).expect("there is room");
        fs::create_dir_all(folder.join("net/core")).expect("there is room");
        fs::write(folder.join("net/ipv4/tcp_mem"), tcp_mem).expect("there is room");
        fs::write(folder.join("net/core/somaxconn"), somaxconn).expect("there is room");
        let root: &'static str = folder.to_string_lossy().into_owned().leak();
        Box::leak(Box::new(Mutex::new(Changes::below(root))))
    }

    fn now(changes: &Mutex<Changes>, need: &Need) -> String {
        let path = changes.lock().expect("no holder panics").path(need.name);
        fs::read_to_string(path).expect("it is there").trim().to_owned()
    }

    fn meet_in(changes: &Mutex<Changes>, need: &Need) -> Result<Option<String>, String> {
        changes.lock().expect("no holder panics").meet(need)
    }

    fn remove(changes: &Mutex<Changes>) {
        let root = changes.lock().expect("no holder panics").root;
        fs::remove_dir_all(root).expect("it is ours");
    }

    #[test]
    fn needs_look_at_their_field() {
        assert!(NEED.is_met("1\t2\t100\n"));
        assert!(!NEED.is_met("100\t100\t99\n"));
        assert!(NEED.is_met(""));
        assert_eq!(NEED.text(), "50 75 100");
        assert_eq!(Changes::below("/proc/sys").path(NEED.name), "/proc/sys/net/ipv4/tcp_mem");
    }

    #[test]
    fn what_was_changed_comes_back_when_the_guard_goes() {
        let changes = settings("guard", "1\t2\t99\n", "64\n");
        let guard = Guard(changes);
        let said = meet_in(changes, &NEED).expect("it can be written").expect("it was changed");
        assert!(said.contains("net.ipv4.tcp_mem = 50 75 100, was 1 2 99"), "{said}");
        meet_in(changes, &OTHER).expect("it can be written").expect("it was changed");
        assert_eq!((now(changes, &NEED), now(changes, &OTHER)), ("50 75 100".into(), "100".into()));
        // Met by now, so nothing is remembered twice.
        assert_eq!(meet_in(changes, &NEED), Ok(None));
        drop(guard);
        assert_eq!((now(changes, &NEED), now(changes, &OTHER)), ("1 2 99".into(), "64".into()));
        fs::write(changes.lock().expect("no holder panics").path(NEED.name), "7").expect("ours");
        put_back_in(changes);
        assert_eq!(now(changes, &NEED), "7", "what was put back is forgotten");
        remove(changes);
    }

    #[test]
    fn what_is_enough_or_not_there_is_left_alone() {
        let changes = settings("enough", "1 2 3000\n", "4096\n");
        let missing = Need { name: "net.core.nothing", ..NEED };
        for need in [&NEED, &OTHER, &missing] {
            assert_eq!(meet_in(changes, need), Ok(None));
        }
        assert_eq!((now(changes, &NEED), now(changes, &OTHER)), ("1 2 3000".into(), "4096".into()));
        remove(changes);
    }

    #[test]
    fn what_cannot_be_set_is_an_error_with_the_command() {
        let changes = settings("error", "1 2 99\n", "64\n");
        let root = changes.lock().expect("no holder panics").root;
        let path = format!("{root}/net/core/somaxconn");
        fs::remove_file(&path).expect("it is ours");
        // Nobody may write it, root neither.
        std::os::unix::fs::symlink("/proc/sys/kernel/ngroups_max", &path).expect("it has gone");
        let need = Need { at_least: 1 << 40, value: [1 << 40, 0, 0], ..OTHER };
        let error = meet_in(changes, &need).expect_err("it cannot be written");
        assert!(error.contains("sudo sysctl -w net.core.somaxconn='1099511627776'"), "{error}");
        meet_in(changes, &NEED).expect("it can be written").expect("it was changed");
        put_back_in(changes);
        assert_eq!(now(changes, &NEED), "1 2 99", "the others come back all the same");
        remove(changes);
    }

    #[test]
    fn what_cannot_be_put_back_is_said_with_the_command() {
        let changes = settings("gone", "1 2 99\n", "64\n");
        meet_in(changes, &NEED).expect("it can be written").expect("it was changed");
        remove(changes);
        let failures = changes.lock().expect("no holder panics").put_back();
        assert_eq!(failures.len(), 1);
        assert!(failures[0].ends_with("sudo sysctl -w net.ipv4.tcp_mem='1 2 99'"), "{failures:?}");
    }
}
