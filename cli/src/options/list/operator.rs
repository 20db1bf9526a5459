//! The port for operators.

use crate::options::definition::{Default, Flag, Group, Kind, OptionDef, Reload};
use crate::options::parse;
use crate::options::secret::Secret;

pub(super) static OPTIONS: &[OptionDef] = &[
    OptionDef {
        key: "operator.listen",
        flag: Some(Flag::new("operator", "ADDR|off")),
        group: Group::Operator,
        kind: Kind::Address,
        default: Default::Value("127.0.0.1:8081"),
        help: "Address of the port for operators, or off",
        doc: "One address, as `listen` has them. Beyond loopback it needs a key.",
        set: set!(operator.listen, parse::operator_address),
        reload: at_start!(operator.listen),
    },
    OptionDef {
        key: "operator.key",
        flag: None,
        group: Group::Operator,
        kind: Kind::Secret,
        default: Default::Words { says: "none", example: "" },
        help: "Key that requests to the port for operators must bring",
        doc: "Up to 1024 printable bytes of ASCII; `openssl rand -hex 32` makes one. No flag takes \
              it, since everybody on the machine can read the words that a process is started \
              with, and nothing shows it.",
        set: set_some!(operator.key, Secret::new),
        reload: Reload::Live,
    },
    OptionDef {
        key: "operator.key_file",
        flag: Some(Flag::new("operator-key-file", "FILE")),
        group: Group::Operator,
        kind: Kind::Text,
        default: Default::Words { says: "none", example: "/etc/throng/operator.key" },
        help: "File with the key of the port for operators",
        doc: "White space at both ends does not count. It is read again at a reload. Only one of \
              it and `operator.key` may be given.",
        set: set_some!(operator.key_file, parse::path),
        reload: Reload::Live,
    },
    OptionDef {
        key: "operator.allowed_hosts",
        flag: None,
        group: Group::Operator,
        kind: Kind::List,
        default: Default::Words {
            says: "literal addresses and localhost",
            example: "ops.example,10.0.0.1",
        },
        help: "Hosts that requests to the port for operators may be for",
        doc: "As `allowed_hosts`.",
        set: set_some!(operator.allowed_hosts, str::parse),
        reload: Reload::Live,
    },
    OptionDef {
        key: "operator.metrics",
        flag: None,
        group: Group::Operator,
        kind: Kind::Switch,
        default: Default::Value("true"),
        help: "Whether the port for operators has /metrics",
        doc: "",
        set: set!(operator.metrics, parse::switch),
        reload: Reload::Live,
    },
    OptionDef {
        key: "operator.metrics_key",
        flag: None,
        group: Group::Operator,
        kind: Kind::Switch,
        default: Default::Value("true"),
        help: "Whether /metrics demands the key, where there is one",
        doc: "",
        set: set!(operator.metrics_key, parse::switch),
        reload: Reload::Live,
    },
    OptionDef {
        key: "api.public",
        flag: Some(Flag::new("api-public", "BOOL")),
        group: Group::Operator,
        kind: Kind::Switch,
        default: Default::Value("false"),
        help: "Whether clients' addresses serve /api, /health and /ready too",
        doc: "For one port instead of two. It needs a key.",
        set: set!(api_public, parse::switch),
        reload: at_start!(api_public),
    },
];
