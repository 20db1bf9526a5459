//! Proxies as operators put them before a server.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use testkit::client::Address;

use crate::support::{Scratch, comes_to_hold, free_port, skip};

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Haproxy,
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
        let folder = files.path().display();
        let (program, text) = match kind {
            Kind::Nginx => ("nginx", nginx(&folder.to_string(), port, server)),
            Kind::Haproxy => ("haproxy", haproxy(port, server)),
        };
        fs::write(&path, text).expect("the folder is ours");
        let mut command = Command::new(find(program));
        match kind {
            Kind::Nginx => command.args(["-e", "stderr", "-c"]).arg(&path),
            Kind::Haproxy => command.args(["-db", "-f"]).arg(&path),
        };
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

fn nginx(folder: &str, port: u16, server: &Address) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/{name};"))
        .join("\n");
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 100; }}
http {{
    access_log off;
    {temporary}
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 0;
        location / {{
            proxy_pass http://{server};
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }}
        location /sub/path/ {{
            proxy_pass http://{server}/;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }}
        # As it stands in most guides.
        location /usual/ {{
            proxy_pass http://{server}/;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection 'upgrade';
        }}
    }}
}}
"
    )
}

fn haproxy(port: u16, server: &Address) -> String {
    format!(
        "defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
frontend all
    bind 127.0.0.1:{port}
    default_backend throng
backend throng
    option httpchk
    server one {server} check
"
    )
}
