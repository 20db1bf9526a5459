//! Options that are one of a few words.

use std::fmt;
use std::str::FromStr;

macro_rules! choice {
    (
        $(#[$doc:meta])* $name:ident, $needed:literal:
        $($(#[$each:meta])* $variant:ident = $word:literal,)*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name { $($(#[$each])* $variant,)* }

        impl $name {
            /// The words for all of them, in their order.
            pub const WORDS: &[&str] = &[$($word),*];

            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word for it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().copied().find(|choice| choice.name() == text);
                found.ok_or_else(|| concat!($needed, " is needed").into())
            }
        }
    };
}

choice! {
    /// Which interface of the kernel moves the bytes.
    Backend, "auto, epoll or io_uring":
    /// io_uring where the kernel has and permits what is needed, else epoll.
    #[default]
    Auto = "auto",
    /// epoll(7), edge-triggered.
    Epoll = "epoll",
    /// io_uring(7), Linux 6.6 or newer.
    IoUring = "io_uring",
}

choice! {
    /// Whether messages may be compressed (RFC 7692).
    Compression, "on or off":
    /// With clients that offer it.
    #[default]
    On = "on",
    /// With nobody: for clients whose own inflating is broken.
    Off = "off",
}

choice! {
    /// What becomes of what is published for a subscriber that does not keep up.
    Policy, "disconnect, drop_oldest or latest":
    /// At the bound its connection is closed, with the reason.
    #[default]
    Disconnect = "disconnect",
    /// At the bound the oldest messages that wait are dropped.
    DropOldest = "drop_oldest",
    /// Only the newest message of the topic waits.
    Latest = "latest",
}

choice! {
    /// What becomes of a connection that sends more than it may.
    Over, "pause or close":
    /// It is not read until it may send more.
    #[default]
    Pause = "pause",
    /// It is closed with 1008.
    Close = "close",
}

choice! {
    /// The close code of a server that stops.
    DrainCode, "1001 or 1012":
    /// Going away (RFC 6455, 7.4.1).
    #[default]
    GoingAway = "1001",
    /// Service restart (IANA's registry of close codes).
    ServiceRestart = "1012",
}

choice! {
    /// When clients of a server that stops are asked to connect again.
    Reconnect, "restart or now":
    /// When it is gone, at the earliest: another process comes at the same address.
    #[default]
    Restart = "restart",
    /// At once: other instances take over.
    Now = "now",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_what_its_name_says_and_nothing_else_is() {
        for backend in Backend::ALL {
            assert_eq!(backend.to_string().parse(), Ok(*backend));
        }
        assert_eq!("latest".parse(), Ok(Policy::Latest));
        assert!("Latest".parse::<Policy>().is_err_and(|why| why.ends_with("is needed")));
        for compression in Compression::ALL {
            assert_eq!(compression.to_string().parse(), Ok(*compression));
        }
        for bad in ["", "Auto", "uring", "on "] {
            assert!(bad.parse::<Backend>().is_err(), "{bad}");
            assert!(bad.parse::<Compression>().is_err(), "{bad}");
        }
    }
}
