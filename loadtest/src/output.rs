//! A file for results, tried before there are any: a run may take minutes.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Where results go. What stood there before stays until they are written.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    file: File,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Made here and empty: it goes with this.
    Fresh,
    /// It was there before, or holds results.
    Kept,
}

impl Output {
    /// Opens it for writing, changing nothing of what is there.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let mut options = OpenOptions::new();
        options.write(true);
        let (file, state) = match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // A link may lead to a file that is not there yet.
                (options.create(true).open(path), State::Kept)
            }
            file => (file, State::Fresh),
        };
        let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path: path.to_owned(), file, state })
    }

    /// Writes the results, in place of what was there.
    pub(crate) fn write(mut self, text: &str) -> Result<(), String> {
        self.replace(text).map_err(|error| format!("{}: {error}", self.path.display()))?;
        self.state = State::Kept;
        Ok(())
    }

    fn replace(&mut self, text: &str) -> std::io::Result<()> {
        // Terminals and pipes have no length.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(text.as_bytes())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.state == State::Fresh {
            // Somebody may have removed it already.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("loadtest-output-{}-{name}", std::process::id()))
    }

    #[test]
    fn what_was_there_stays_until_there_are_results() {
        let path = path("kept");
        fs::write(&path, "of a longer run before").expect("there is room");
        drop(Output::open(&path).expect("it can be written"));
        let now = || fs::read_to_string(&path).expect("it is there");
        assert_eq!(now(), "of a longer run before");
        Output::open(&path).expect("it can be written").write("new").expect("there is room");
        assert_eq!(now(), "new");
        fs::remove_file(&path).expect("it is ours");
    }

    #[test]
    fn a_run_without_results_leaves_no_file() {
        let path = path("fresh");
        drop(Output::open(&path).expect("it can be written"));
        assert!(!path.exists());
        Output::open(&path).expect("it can be written").write("new").expect("there is room");
        assert!(path.exists());
        fs::remove_file(&path).expect("it is ours");
    }

    #[test]
    fn what_has_no_length_can_be_written_and_a_folder_cannot() {
        Output::open(Path::new("/dev/null")).expect("all may").write("a").expect("it takes all");
        let error = Output::open(&std::env::temp_dir()).expect_err("it is a folder");
        assert!(error.contains("directory"), "{error}");
    }
}
