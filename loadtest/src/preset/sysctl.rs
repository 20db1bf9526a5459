//! Settings of the kernel that a preset changes for its time, and puts back.

use std::fs;
use std::sync::Mutex;

/// What was changed: the name and what was there before.
static CHANGED: Mutex<Vec<(&str, String)>> = Mutex::new(Vec::new());

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

/// Meets a need. Says what was changed, if something was.
pub(crate) fn meet(need: &Need) -> Result<Option<String>, String> {
    let path = path(need.name);
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
    CHANGED.lock().expect("no holder panics").push((name, before.clone()));
    Ok(Some(format!("set {name} = {after}, was {before}, until the end: {why}")))
}

/// Puts all back.
pub(crate) fn put_back() {
    let Ok(mut changed) = CHANGED.lock() else { return };
    for (name, before) in changed.drain(..).rev() {
        if let Err(error) = fs::write(path(name), &before) {
            eprintln!(
                "loadtest: {name} was not put back: {error}; sudo sysctl -w {name}='{before}'"
            );
        }
    }
}

/// Puts all back when it is dropped.
pub(crate) struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        put_back();
    }
}

fn path(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
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

    #[test]
    fn needs_look_at_their_field() {
        assert!(NEED.is_met("1\t2\t100\n"));
        assert!(!NEED.is_met("100\t100\t99\n"));
        assert!(NEED.is_met(""));
        assert_eq!(NEED.text(), "50 75 100");
        assert_eq!(path(NEED.name), "/proc/sys/net/ipv4/tcp_mem");
    }
}
