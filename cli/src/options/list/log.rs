//! What is logged, and how.

use crate::options::definition::{Default, Flag, Group, Kind, OptionDef, Reload};
use crate::options::parse;
use crate::options::settings::{LogFormat, LogLevel};

pub(super) static OPTIONS: &[OptionDef] = &[
    OptionDef {
        key: "log.level",
        flag: Some(Flag::new("log-level", "LEVEL").most_used()),
        group: Group::Log,
        kind: Kind::Word(LogLevel::WORDS),
        default: Default::Value("info"),
        help: "What is logged; RUST_LOG wins",
        doc: "",
        set: set!(log.level, str::parse),
        reload: Reload::Live,
    },
    OptionDef {
        key: "log.format",
        flag: Some(Flag::new("log-format", "FORMAT")),
        group: Group::Log,
        kind: Kind::Word(LogFormat::WORDS),
        default: Default::Value("text"),
        help: "What lines look like; json is an object in each",
        doc: "With `timestamp`, `level` and `fields`.",
        set: set!(log.format, str::parse),
        reload: at_start!(log.format),
    },
    OptionDef {
        key: "log.access",
        flag: None,
        group: Group::Log,
        kind: Kind::Share,
        default: Default::Value("off"),
        help: "Which requests are logged: off, on for all, or a share like 1%",
        doc: "A share from 0.0001% on: with `1%` or 0.01 it is one in a hundred.",
        set: set!(config.access_log, parse::share),
        reload: Reload::Live,
    },
];
