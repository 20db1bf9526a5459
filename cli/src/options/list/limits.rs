//! What a client, or the whole process, may take.

use throng::config::{Compression, parse_size};

use crate::options::definition::{Default, Flag, Group, Kind, OptionDef, Reload};
use crate::options::parse;

/// The words for compression.
const COMPRESSIONS: &[&str] = &[Compression::ALL[0].name(), Compression::ALL[1].name()];

pub(super) static OPTIONS: &[OptionDef] = &[
    OptionDef {
        key: "max_connections",
        flag: Some(Flag::new("max-connections", "N").most_used()),
        group: Group::Limits,
        kind: Kind::Count,
        default: Default::Words { says: "what nofile allows", example: "100k" },
        help: "Connections of all workers together; more get a 503",
        doc: "At least 1. The 503 has `Retry-After`. By default it is what the hard limit of \
              descriptors (`ulimit -Hn`) leaves for all workers.",
        set: set_some!(config.max_connections, parse::connections),
        reload: Reload::Live,
    },
    OptionDef {
        key: "max_message_size",
        flag: Some(Flag::new("max-message-size", "SIZE").most_used()),
        group: Group::Limits,
        kind: Kind::Size,
        default: Default::Value("1MiB"),
        help: "Largest message; a larger one closes its connection with 1009",
        doc: "From 1 byte to 2 GiB, as sent or as inflated.",
        set: set!(config.max_message_size, parse::message_size),
        reload: Reload::Live,
    },
    OptionDef {
        key: "max_backlog",
        flag: Some(Flag::new("max-backlog", "SIZE").most_used()),
        group: Group::Limits,
        kind: Kind::Size,
        default: Default::Value("1MiB"),
        help: "Memory that may wait for a slow receiver behind the message being sent",
        doc: "A member of a room that is slower is closed. A client that does not take its own \
              replies is not read until it does.",
        set: set!(config.max_backlog, parse_size),
        reload: Reload::Live,
    },
    OptionDef {
        key: "memory",
        flag: Some(Flag::new("memory", "SIZE")),
        group: Group::Limits,
        kind: Kind::Size,
        default: Default::Words { says: "half of the host's or the cgroup's", example: "4GiB" },
        help: "Memory that the server may allocate",
        doc: "From 16 MiB on, or `off`. Above it new connections get a 503, and those that hold \
              the most are ended (1013 in the middle of a message).",
        set: set_some!(config.memory, parse::memory),
        reload: Reload::Live,
    },
    OptionDef {
        key: "compression",
        flag: Some(Flag::new("compression", "COMPRESSION")),
        group: Group::Limits,
        kind: Kind::Word(COMPRESSIONS),
        default: Default::Value("on"),
        help: "Compression of messages, for clients that offer it",
        doc: "`off` declines it, for clients whose inflating is broken.",
        set: set!(config.compression, str::parse),
        reload: Reload::Live,
    },
];
