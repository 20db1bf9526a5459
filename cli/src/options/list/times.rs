//! How long things may take: 24 hours at most, each.

use throng::config::{DrainCode, Reconnect, parse_duration};

use crate::options::definition::{Default, Flag, Group, Kind, OptionDef, Reload};
use crate::options::parse;

pub(super) static OPTIONS: &[OptionDef] = &[
    OptionDef {
        key: "ping_interval",
        flag: Some(Flag::new("ping-interval", "DUR").most_used()),
        group: Group::Times,
        kind: Kind::Duration,
        default: Default::Value("25s"),
        help: "Time between pings; 0 is off, and TCP's keepalive ends the dead",
        doc: "Without pings TCP's keepalive probes after 60 s of silence and gives up after six \
              probes.",
        set: set!(config.ping_interval, parse_duration),
        reload: at_start!(config.ping_interval),
    },
    OptionDef {
        key: "pong_timeout",
        flag: Some(Flag::new("pong-timeout", "DUR")),
        group: Group::Times,
        kind: Kind::Duration,
        default: Default::Value("20s"),
        help: "Time to show life after a ping; 0 is off",
        doc: "Any byte shows life. Whose time is over is closed with 1008.",
        set: set!(config.pong_timeout, parse_duration),
        reload: at_start!(config.pong_timeout),
    },
    OptionDef {
        key: "send_timeout",
        flag: Some(Flag::new("send-timeout", "DUR")),
        group: Group::Times,
        kind: Kind::Duration,
        default: Default::Value("60s"),
        help: "Time to take something of what is being sent; 0 is off",
        doc: "It counts from the next ping. Whoever takes nothing for so long is closed.",
        set: set!(config.send_timeout, parse_duration),
        reload: Reload::Live,
    },
    OptionDef {
        key: "handshake_timeout",
        flag: Some(Flag::new("handshake-timeout", "DUR")),
        group: Group::Times,
        kind: Kind::Duration,
        default: Default::Value("10s"),
        help: "Time for a client to complete a request",
        doc: "A request that is not complete by then is closed. It cannot be 0.",
        set: set!(config.handshake_timeout, parse::timeout),
        reload: Reload::Live,
    },
    OptionDef {
        key: "keep_alive",
        flag: Some(Flag::new("keep-alive", "DUR")),
        group: Group::Times,
        kind: Kind::Duration,
        default: Default::Value("75s"),
        help: "Time for another request behind a response; 0 is off",
        doc: "An HTTP connection that is idle for longer is closed; with 0 each is, behind its \
              response.",
        set: set!(config.keep_alive, parse_duration),
        reload: Reload::Live,
    },
    OptionDef {
        key: "drain_delay",
        flag: Some(Flag::new("drain-delay", "DUR")),
        group: Group::Times,
        kind: Kind::Duration,
        default: Default::Value("0"),
        help: "Time from SIGTERM until nothing is accepted any more, for load balancers",
        doc: "`/ready` says 503 from SIGTERM or SIGINT on; all else goes on for so long.",
        set: set!(config.drain_delay, parse_duration),
        reload: Reload::Live,
    },
    OptionDef {
        key: "drain",
        flag: Some(Flag::new("drain", "DUR").most_used()),
        group: Group::Times,
        kind: Kind::Duration,
        default: Default::Value("10s"),
        help: "Time over which a stopping server closes its connections",
        doc: "They are closed one after the other. Few connections take less: 100 a second at \
              least are closed. Then there are 5 s for the last answers. A second signal ends the \
              server at once.",
        set: set!(config.drain, parse_duration),
        reload: Reload::Live,
    },
    OptionDef {
        key: "drain_code",
        flag: None,
        group: Group::Times,
        kind: Kind::Word(DrainCode::WORDS),
        default: Default::Value("1001"),
        help: "Close code of a stopping server; 1012 is service restart",
        doc: "The reason has `retry-after=12s`: the time after which the client is asked to \
              connect again.",
        set: set!(config.drain_code, str::parse),
        reload: Reload::Live,
    },
    OptionDef {
        key: "drain_reconnect",
        flag: None,
        group: Group::Times,
        kind: Kind::Word(Reconnect::WORDS),
        default: Default::Value("restart"),
        help: "When clients of a stopping server are asked to come back: restart or now",
        doc: "`restart` is when this process is gone and another one at the same address has \
              started, each client at its own moment; `now` is for fleets, where others take over.",
        set: set!(config.drain_reconnect, str::parse),
        reload: Reload::Live,
    },
];
