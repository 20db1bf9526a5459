//! A folder where the script installs its files, and what is in it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use testkit::process::{Finished, Launch};

use crate::conf::{self, Entry};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/tune.sh");

/// Far more than it takes.
const WITHIN: Duration = Duration::from_secs(30);

/// The root of a host's files, without anything in it that the script has installed.
#[derive(Debug)]
pub(crate) struct Place(PathBuf);

/// Every file below a folder, with its words: how they are set apart is no matter.
pub(crate) type Contents = BTreeMap<PathBuf, Vec<String>>;

impl Place {
    /// A host with PAM and systemd.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("throng-tuning-{}-{number}", std::process::id());
        let place = Self(std::env::temp_dir().join(name));
        for folder in ["etc/security/limits.d", "etc/sysctl.d", "run/systemd/system", "var/lib"] {
            fs::create_dir_all(place.path(folder)).expect("the name is ours alone");
        }
        place
    }

    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }

    /// Writes a file, and makes the folders above it.
    pub(crate) fn write(&self, path: impl AsRef<Path>, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("it is below ours")).expect("it is ours");
        fs::write(path, text).expect("it is ours");
    }

    /// Files that stand for /proc/sys.
    pub(crate) fn write_sysctl(&self, key: &str, value: &str) {
        self.write(sysctl(key), value);
    }

    pub(crate) fn sysctl(&self, key: &str) -> Vec<u64> {
        let text = fs::read_to_string(self.path(sysctl(key))).expect("it was written");
        conf::numbers(&text)
    }

    /// The script, for the files of this place and those keys of the kernel.
    pub(crate) fn script(&self, action: &str, entries: &[Entry]) -> Launch {
        // Beside the place, so that it is not among its contents.
        let path = self.0.with_extension("conf");
        fs::write(&path, conf::written(entries)).expect("it is ours");
        let launch = Launch::new("bash").args([SCRIPT, action]);
        launch.env("THRONG_TUNE_ROOT", utf8(&self.0)).env("THRONG_TUNE_CONF", utf8(&path))
    }

    /// Runs the script on files that stand for /proc/sys.
    pub(crate) fn run(&self, action: &str) -> Finished {
        let launch = self.script(action, &conf::entries());
        run(&launch.env("THRONG_TUNE_SYSCTL", utf8(&self.path("sys"))))
    }

    pub(crate) fn contents(&self) -> Contents {
        let mut contents = Contents::new();
        collect(&self.0, &mut contents);
        contents
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Left over files are no reason to fail.
        let _ = fs::remove_dir_all(&self.0);
        let _ = fs::remove_file(self.0.with_extension("conf"));
    }
}

pub(crate) fn run(launch: &Launch) -> Finished {
    launch.run(WITHIN)
}

fn sysctl(key: &str) -> PathBuf {
    Path::new("sys").join(key.replace('.', "/"))
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("the folder for temporary files has a name in UTF-8")
}

fn collect(folder: &Path, contents: &mut Contents) {
    for entry in fs::read_dir(folder).expect("it is ours") {
        let path = entry.expect("it is ours").path();
        if path.is_dir() {
            collect(&path, contents);
            contents.insert(path, Vec::new());
        } else {
            let text = fs::read_to_string(&path).expect("it is text");
            contents.insert(path, text.split_whitespace().map(str::to_owned).collect());
        }
    }
}

/// Tells that a test is left out, past the harness, which hides what passing tests print.
pub(crate) fn skip(reason: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    let must_run = std::env::var_os("THRONG_TEST_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!must_run, "THRONG_TEST_REQUIRE_ALL=1, but {test} cannot be run: {reason}");
    writeln!(io::stderr(), "SKIPPED {test}: {reason}").expect("standard error is open");
}
