//! Files with options and keys: read whole, or told why not.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::secret::{self, Secret};

/// Bytes of a file of options; nobody writes so many.
const BYTES_MAX: usize = 1 << 20;

/// Where options are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Standard input, which can be read once.
    Stdin,
    /// A file.
    Path(PathBuf),
}

impl Source {
    /// A path, or `-`.
    pub(crate) fn new(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::Stdin } else { Self::Path(path) }
    }

    /// All that is in it.
    ///
    /// # Errors
    ///
    /// A line with the cause and a remedy.
    pub(super) fn read(&self) -> Result<String, String> {
        let bytes = match self {
            Self::Stdin => read(io::stdin().lock(), BYTES_MAX),
            Self::Path(path) => read_file(path, BYTES_MAX),
        };
        let makes_one = "`throng config default` prints one to begin with";
        let bytes = bytes.map_err(|why| format!("{self}: {}", why.with_remedy(makes_one)))?;
        String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
            format!("{self}:{line}: this is no UTF-8: save the file as UTF-8")
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The key in a file, without white space at its ends.
///
/// # Errors
///
/// The cause and a remedy.
pub(super) fn read_key(path: &Path) -> Result<Secret, String> {
    let shown = path.display();
    // A newline or two belong to no key.
    let bytes = read_file(path, secret::BYTES_MAX + 16);
    let makes_one = format!("`openssl rand -hex 32 > {shown}` makes one");
    let bytes = bytes.map_err(|why| format!("{shown}: {}", why.with_remedy(&makes_one)))?;
    let text = String::from_utf8_lossy(&bytes);
    Secret::new(text.trim()).map_err(|cause| format!("{shown}: {cause}"))
}

/// Why a file is not read.
#[derive(Debug)]
enum WhyNot {
    /// The system has a reason.
    Failed(io::Error),
    /// It is larger than so many bytes.
    TooLarge(usize),
    /// A pipe, a device: to read it may take for ever.
    NoFile,
}

impl WhyNot {
    /// In words; the remedy is for a file that is not there.
    fn with_remedy(&self, makes_one: &str) -> String {
        let error = match self {
            Self::Failed(error) => error,
            Self::TooLarge(bytes_max) => {
                return format!("it has more than {bytes_max} bytes: name the right file");
            }
            Self::NoFile => {
                return "that is a pipe or a device: name a file (options may also come from \
                        standard input, at the start, by `--config -`)"
                    .into();
            }
        };
        match error.kind() {
            io::ErrorKind::NotFound => format!("there is no such file; {makes_one}"),
            io::ErrorKind::IsADirectory => "that is a directory: name a file in it".into(),
            io::ErrorKind::PermissionDenied => {
                "the user of this process may not read it: chgrp and chmod permit it".into()
            }
            _ => format!("it cannot be read: {error}"),
        }
    }
}

fn read_file(path: &Path, bytes_max: usize) -> Result<Vec<u8>, WhyNot> {
    let kind = fs::metadata(path).map_err(WhyNot::Failed)?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(WhyNot::NoFile);
    }
    read(File::open(path).map_err(WhyNot::Failed)?, bytes_max)
}

fn read(from: impl Read, bytes_max: usize) -> Result<Vec<u8>, WhyNot> {
    let mut bytes = Vec::new();
    let length = from.take(bytes_max as u64 + 1).read_to_end(&mut bytes);
    match length.map_err(WhyNot::Failed)? {
        length if length > bytes_max => Err(WhyNot::TooLarge(bytes_max)),
        _ => Ok(bytes),
    }
}
