//! What peers send, at random: nothing panics, where it is cut makes no difference, and others who
//! read the same agree.
//!
//! `cargo test --test fuzz` replays the inputs that are kept under `corpus`, one folder for each
//! target, and then tries a number of variations of them, the same every time.
//! `scripts/fuzz.sh [TARGET] [SECONDS]` tries others for as long as is wanted.

#![allow(clippy::disallowed_methods, reason = "the long form ends by the clock")]

mod close;
mod engine;
mod extension;
mod frames;
mod head;
mod inflate;
mod proxy_header;
mod room_name;
mod source;

use engine::Target;

/// Makes a test of each target; `count` variations take some seconds on a slow machine.
macro_rules! targets {
    ($($name:ident: $count:expr, $words:expr;)+) => {$(
        #[test]
        fn $name() {
            engine::run(&Target {
                name: stringify!($name),
                count: $count,
                words: $words,
                check: crate::$name::check,
            });
        }
    )+};
}

targets! {
    head: 12_000, head::WORDS;
    extension: 200_000, extension::WORDS;
    frames: 40_000, &[];
    inflate: 20_000, &[];
    close: 200_000, &[];
    proxy_header: 200_000, proxy_header::WORDS;
    room_name: 200_000, room_name::WORDS;
}
