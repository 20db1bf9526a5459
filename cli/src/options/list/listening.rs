//! Where the server listens, and who may connect.

use crate::options::definition::{Default, Flag, Group, Kind, OptionDef, Reload};
use crate::options::parse;

pub(super) static OPTIONS: &[OptionDef] = &[
    OptionDef {
        key: "listen",
        flag: Some(Flag::new("listen", "ADDR").most_used().repeatable()),
        group: Group::Listening,
        kind: Kind::List,
        default: Default::Value("127.0.0.1:8080"),
        help: "Address to listen on: IP:PORT, :PORT (all addresses) or unix:/PATH; repeatable",
        doc: "`:8080` and `8080` are all addresses, `[::]:8080` takes IPv4 too, and port 0 lets \
              the kernel choose. Names of hosts are not looked up. Each of 64 addresses at most \
              has a listener on every worker.",
        set: set!(config.listen, parse::addresses),
        reload: at_start!(config.listen),
    },
    OptionDef {
        key: "unix.mode",
        flag: Some(Flag::new("unix-mode", "MODE")),
        group: Group::Listening,
        kind: Kind::Text,
        default: Default::Words { says: "as the umask has it", example: "0660" },
        help: "Mode of Unix sockets, like 0660",
        doc: "In octal, of all Unix sockets in `listen`; who connects needs the right to write.",
        set: set_some!(config.unix_mode, str::parse),
        reload: at_start!(config.unix_mode),
    },
    OptionDef {
        key: "unix.group",
        flag: Some(Flag::new("unix-group", "GROUP")),
        group: Group::Listening,
        kind: Kind::Text,
        default: Default::Words { says: "that of the process", example: "www-data" },
        help: "Group of Unix sockets, by name or number",
        doc: "Of all Unix sockets in `listen`, so that a proxy of another user may connect.",
        set: set_some!(config.unix_group, str::parse),
        reload: at_start!(config.unix_group),
    },
    OptionDef {
        key: "allowed_origins",
        flag: Some(Flag::new("allowed-origins", "LIST").most_used()),
        group: Group::Listening,
        kind: Kind::List,
        default: Default::Value(""),
        help: "Browser origins allowed beside the same host: \
               https://a.example,https://*.b.example or *",
        doc: "Pages of others get 403. Pages of the loopback are friends of a server that listens \
              there only. `http://localhost:*` is every port, `https://*.a.example` \
              every subdomain; `file://`, `null` and `chrome-extension://*` can be named, and `*` \
              is everybody.",
        set: set!(config.allowed_origins, str::parse),
        reload: Reload::Live,
    },
    OptionDef {
        key: "allowed_hosts",
        flag: Some(Flag::new("allowed-hosts", "LIST")),
        group: Group::Listening,
        kind: Kind::List,
        default: Default::Words { says: "any", example: "a.example,*.b.example:8080" },
        help: "Hosts that requests may be for, others get 421: a.example,*.b.example:8080",
        doc: "`*.b.example` is subdomains only; without a port it is any port. It is the defence \
              against pages whose name is bound to this address (DNS rebinding): their origin and \
              host agree. Behind a proxy that passes `Host` on, the host is the public name.",
        set: set!(config.allowed_hosts, str::parse),
        reload: Reload::Live,
    },
    OptionDef {
        key: "trusted_proxies",
        flag: Some(Flag::new("trusted-proxies", "LIST")),
        group: Group::Listening,
        kind: Kind::List,
        default: Default::Value(""),
        help: "Proxies that may say whom they connect for: 10.0.0.0/8,::1,unix",
        doc: "Addresses, ranges of them, and `unix` for all that comes by Unix sockets; 256 at \
              most. Of these `Forwarded` and `X-Forwarded-For` are believed, and with \
              `proxy_protocol` the header of that; limits, log and API have the client's own \
              address then. Name nobody who passes such headers of clients on.",
        set: set!(config.trusted_proxies, str::parse),
        reload: Reload::Live,
    },
    OptionDef {
        key: "proxy_protocol",
        flag: None,
        group: Group::Listening,
        kind: Kind::Switch,
        default: Default::Value("false"),
        help: "Whether connections of trusted proxies begin with a PROXY header (v1 or v2)",
        doc: "HAProxy's `send-proxy-v2` writes one. With `true` a connection of a trusted proxy \
              without one is refused; of anybody else such a header is a bad request.",
        set: set!(config.proxy_protocol, parse::switch),
        reload: Reload::Live,
    },
];
