//! Options that are one of a few words.

use std::fmt;
use std::str::FromStr;

/// Which interface of the kernel moves the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// io_uring where the kernel has and permits what is needed, else epoll.
    #[default]
    Auto,
    /// epoll(7), edge-triggered.
    Epoll,
    /// io_uring(7), Linux 6.6 or newer.
    IoUring,
}

/// Whether messages may be compressed (RFC 7692).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// With clients that offer it.
    #[default]
    On,
    /// With nobody: for clients whose own inflating is broken.
    Off,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Epoll, Self::IoUring];

    /// The word for it: `auto`, `epoll`, `io_uring`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Epoll => "epoll",
            Self::IoUring => "io_uring",
        }
    }
}

impl Compression {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::On, Self::Off];

    /// The word for it: `on`, `off`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|backend| backend.name() == text);
        found.ok_or_else(|| "auto, epoll or io_uring is needed".into())
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|compression| compression.name() == text);
        found.ok_or_else(|| "on or off is needed".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_what_its_name_says_and_nothing_else_is() {
        for backend in Backend::ALL {
            assert_eq!(backend.to_string().parse(), Ok(backend));
        }
        for compression in Compression::ALL {
            assert_eq!(compression.to_string().parse(), Ok(compression));
        }
        for bad in ["", "Auto", "uring", "on "] {
            assert!(bad.parse::<Backend>().is_err(), "{bad}");
            assert!(bad.parse::<Compression>().is_err(), "{bad}");
        }
    }
}
