//! Proxies as operators put them before a server: the files of packaging/proxies with other
//! addresses.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use testkit::client::Address;

use crate::embedders::ROOT;
use crate::support::{Scratch, comes_to_hold, free_port, skip};

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    /// Under the path `/chat/` of a site.
    NginxSubPath,
    /// As a site has it that never heard of WebSockets and hosts: the fields of the upgrade only.
    NginxWithoutHost,
    Haproxy,
    /// With headers of the PROXY protocol in place of fields, in its checks too.
    HaproxyV1,
    HaproxyV2,
    Caddy,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Nginx | Self::NginxSubPath | Self::NginxWithoutHost => "nginx",
            Self::Haproxy | Self::HaproxyV1 | Self::HaproxyV2 => "haproxy",
            Self::Caddy => "caddy",
        }
    }

    /// What stands before the paths of the server.
    pub(crate) fn prefix(self) -> &'static str {
        if self == Self::NginxSubPath { "/chat" } else { "" }
    }

    /// Its file, for a proxy on this port.
    fn text(self, folder: &Path, port: u16, server: &Address) -> String {
        let listen = format!("listen 127.0.0.1:{port};");
        let bind = format!("bind 127.0.0.1:{port}");
        let site = format!("http://:{port} {{\n\tbind 127.0.0.1");
        match self {
            Self::Nginx => {
                nginx(folder, &example("nginx.conf", &[("listen 80;", &listen)], server))
            }
            Self::NginxWithoutHost => {
                let changes = [("listen 80;", &*listen), ("proxy_set_header Host", "# Host")];
                nginx(folder, &example("nginx.conf", &changes, server))
            }
            Self::NginxSubPath => {
                let location = example("nginx-sub-path.conf", &[], server);
                nginx(folder, &format!("server {{ {listen}\n{location}}}\n"))
            }
            Self::Haproxy => example("haproxy.cfg", &[("bind :80", &bind)], server),
            Self::HaproxyV1 => proxy_protocol(&bind, "send-proxy", server),
            // With a checksum and other values behind the addresses.
            Self::HaproxyV2 => {
                let line = "send-proxy-v2 proxy-v2-options crc32c,unique-id";
                proxy_protocol(&bind, line, server)
            }
            Self::Caddy => {
                let file = example("Caddyfile", &[(":80 {", &site)], server);
                format!("{{\n\tadmin off\n}}\n{file}")
            }
        }
    }
}

/// A file of packaging/proxies with other words in place of some of it.
fn example(name: &str, changes: &[(&str, &str)], server: &Address) -> String {
    let path = format!("{ROOT}/packaging/proxies/{name}");
    let mut text = fs::read_to_string(path).expect("it is there");
    let server = server.to_string();
    for (from, to) in changes.iter().chain(&[("127.0.0.1:8080", &*server)]) {
        assert!(text.contains(from), "{name} has no {from}");
        text = text.replace(from, to);
    }
    text
}

/// HAProxy's file as docs/proxies.md says for the PROXY protocol, with a check that can be told
/// from other requests.
fn proxy_protocol(bind: &str, line: &str, server: &Address) -> String {
    let changes = [
        ("bind :80", bind),
        ("    option forwardfor\n", ""),
        ("httpchk GET /", "httpchk GET /check\n    http-check expect status 404"),
        ("check inter 2s", &format!("check inter 2s {line}")),
    ];
    example("haproxy.cfg", &changes, server)
}

/// A proxy that runs, until it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    process: Child,
    address: Address,
    _files: Scratch,
}

impl Proxy {
    /// A proxy before a server that listens on TCP; `None` if it is not installed.
    pub(crate) fn before(server: &Address, kind: Kind) -> Option<Self> {
        let (files, port) = (Scratch::new(), free_port());
        let path = files.path().join("proxy.conf");
        let program = kind.program();
        fs::write(&path, kind.text(files.path(), port, server)).expect("the folder is ours");
        let mut command = Command::new(find(program));
        match program {
            "nginx" => command.args(["-e", "stderr", "-c"]).arg(&path),
            "haproxy" => command.args(["-db", "-f"]).arg(&path),
            _ => command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&path),
        };
        // Caddy keeps what it knows there.
        command.env("HOME", files.path()).env("XDG_DATA_HOME", files.path());
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(process) = started.spawn() else {
            skip(&format!("{program} is not installed"));
            return None;
        };
        let name = format!("127.0.0.1:{port}");
        let is_up = comes_to_hold(|| TcpStream::connect(&name).is_ok());
        assert!(is_up, "{program} listens");
        let address = name.parse().expect("it is an address");
        Some(Self { process, address, _files: files })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself, which a test has seen.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Debian has them where the PATH of an ordinary user does not reach.
fn find(program: &str) -> String {
    let path = format!("/usr/sbin/{program}");
    if fs::exists(&path).unwrap_or(false) { path } else { program.to_owned() }
}

/// All that stands around a site. What the tests of last words send needs its size: nginx is not to
/// judge it, nor to keep it until all has come.
fn nginx(folder: &Path, site: &str) -> String {
    let folder = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/{name};"))
        .join("\n");
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 100; }}
http {{
    access_log off; client_max_body_size 0; proxy_request_buffering off;
    {temporary}
    {site}
}}
"
    )
}
