//! What a client, or the whole process, may take.

use throng::config::{Compression, Over, parse_duration, parse_size};

use crate::options::definition::{Default, Flag, Group, Kind, OptionDef, Reload};
use crate::options::parse;

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
        kind: Kind::Word(Compression::WORDS),
        default: Default::Value("on"),
        help: "Compression of messages, for clients that offer it",
        doc: "`off` declines it, for clients whose inflating is broken.",
        set: set!(config.compression, str::parse),
        reload: Reload::Live,
    },
    OptionDef {
        key: "limits.per_ip.connections",
        flag: None,
        group: Group::Limits,
        kind: Kind::Count,
        default: Default::Words { says: "no limit", example: "100" },
        help: "Connections of one address, in the whole process; more get a 429",
        doc: "At least 1. An address of IPv6 counts by its /64. Behind a proxy it counts the \
              client that `trusted_proxies` lets it name. A reload that turns it on counts \
              connections that come from then on.",
        set: set_some!(config.limits.per_ip.connections, parse::number),
        reload: Reload::Live,
    },
    OptionDef {
        key: "limits.per_ip.connect_rate",
        flag: None,
        group: Group::Limits,
        kind: Kind::Count,
        default: Default::Words { says: "no limit", example: "20" },
        help: "New connections of one address in a second; more get a 429",
        doc: "At least 1. So many may come at once where none came for a second.",
        set: set_some!(config.limits.per_ip.connect_rate, parse::number),
        reload: Reload::Live,
    },
    OptionDef {
        key: "limits.messages_per_second",
        flag: None,
        group: Group::Limits,
        kind: Kind::Count,
        default: Default::Words { says: "no limit", example: "50" },
        help: "Messages of one connection in a second",
        doc: "At least 1. Data messages, pings, pongs and requests count; so many may come at once \
              where none came for a second. `limits.over` says what becomes of more.",
        set: set_some!(config.limits.messages_per_second, parse::number),
        reload: Reload::Live,
    },
    OptionDef {
        key: "limits.bytes_per_second",
        flag: None,
        group: Group::Limits,
        kind: Kind::Size,
        default: Default::Words { says: "no limit", example: "64KiB" },
        help: "Bytes that one connection sends in a second",
        doc: "At least 1, as they come, compressed or not. With `limits.over = \"pause\"` a \
              message of more than a second's worth takes as long as it costs; with `close` one \
              of any size may come, and counts afterwards.",
        set: set_some!(config.limits.bytes_per_second, parse::rate),
        reload: Reload::Live,
    },
    OptionDef {
        key: "limits.over",
        flag: None,
        group: Group::Limits,
        kind: Kind::Word(Over::WORDS),
        default: Default::Value("pause"),
        help: "What becomes of a connection that sends more: pause or close",
        doc: "`pause` reads nothing of it until it may send more, so that TCP slows it down; \
              `close` closes it with 1008, or answers 429 to a request.",
        set: set!(config.limits.over, str::parse),
        reload: Reload::Live,
    },
    OptionDef {
        key: "limits.rooms",
        flag: None,
        group: Group::Limits,
        kind: Kind::Count,
        default: Default::Words { says: "no limit", example: "100k" },
        help: "Rooms of the whole process; who would open one more gets a 503",
        doc: "At least 1. Who comes to a room that is there is let in. Workers look at the number \
              without a lock, so each may let one too many in at the same moment.",
        set: set_some!(config.limits.rooms, parse::connections),
        reload: Reload::Live,
    },
    OptionDef {
        key: "limits.rooms_per_connection",
        flag: None,
        group: Group::Limits,
        kind: Kind::Count,
        default: Default::Value("16384"),
        help: "Rooms, and other topics, that one connection may be in",
        doc: "From 1 to 16384. A client at `/room/NAME` is in one.",
        set: set!(config.limits.rooms_per_connection, parse::subscriptions),
        reload: Reload::Live,
    },
    OptionDef {
        key: "limits.connection_max_age",
        flag: None,
        group: Group::Limits,
        kind: Kind::Duration,
        default: Default::Value("0"),
        help: "Age at which a WebSocket connection is closed with 1001; 0 is off",
        doc: "Give or take a tenth, so that those who came together do not go together. It is for \
              fleets that grow: who comes back may come to a new instance. A reload holds for \
              connections that come.",
        set: set!(config.limits.connection_max_age, parse_duration),
        reload: Reload::Live,
    },
];
