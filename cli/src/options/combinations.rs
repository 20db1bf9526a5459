//! Options that are good by themselves and cannot be together.

use throng::config::ListenAddr;

use super::assignment::{Assignment, Origin};
use super::fault::Fault;
use super::load::Effective;

/// What is wrong with all options together.
pub(super) fn faults(all: &Effective) -> Vec<Fault> {
    let checks = [
        twice,
        shared_with_operator,
        open_without_key,
        public_without_key,
        two_keys,
        no_pings,
        headers_of_nobody,
    ];
    checks.iter().filter_map(|check| check(all)).collect()
}

/// What stands open to others and needs a key for that.
pub(super) fn open_doors(all: &Effective) -> Vec<Fault> {
    [open_without_key, public_without_key].iter().filter_map(|check| check(all)).collect()
}

fn twice(all: &Effective) -> Option<Fault> {
    let listen = &all.settings.config.listen;
    let is_twice = |(at, address): &(usize, &ListenAddr)| listen[..*at].contains(address);
    let (_, address) = listen.iter().enumerate().find(|pair| has_port(pair.1) && is_twice(pair))?;
    Some(all.blame("listen", &format!("{address} is there twice: name it once")))
}

fn shared_with_operator(all: &Effective) -> Option<Fault> {
    let operator = all.settings.operator.listen.as_ref()?;
    let mut listen = all.settings.config.listen.iter();
    let other = listen.find(|other| collide(operator, other))?;
    // Whoever has not chosen the port for operators has chosen the other.
    let (key, what) = match all.winner("operator.listen") {
        Some(_) => ("operator.listen", format!("{operator} is where clients connect ({other})")),
        None => ("listen", format!("{other} is the port for operators ({operator})")),
    };
    let remedy = "choose another, or `--operator off` or `operator.listen = \"off\"`";
    Some(all.blame(key, &format!("{what}: {remedy}")))
}

fn open_without_key(all: &Effective) -> Option<Fault> {
    let address = all.settings.operator.listen.as_ref()?;
    let is_open = match address {
        ListenAddr::Tcp(address) => !address.ip().is_loopback(),
        ListenAddr::All(_) => true,
        ListenAddr::Unix(_) => false,
    };
    let what = format!("{address} can be reached from other machines: {NEEDS_A_KEY}");
    (is_open && !has_key(all)).then(|| all.blame("operator.listen", &what))
}

fn public_without_key(all: &Effective) -> Option<Fault> {
    let is_open = all.settings.config.api_public && !has_key(all);
    is_open.then(|| all.blame("api.public", &format!("clients reach it then: {NEEDS_A_KEY}")))
}

const NEEDS_A_KEY: &str = "it needs a key, by --operator-key-file, THRONG_OPERATOR_KEY or \
                           operator.key (`openssl rand -hex 32` makes one)";

fn two_keys(all: &Effective) -> Option<Fault> {
    let (file, key) = (all.winner("operator.key_file")?, all.winner("operator.key")?);
    let later = if file.origin >= key.origin { "operator.key_file" } else { "operator.key" };
    let other = if later == "operator.key" { "operator.key_file" } else { "operator.key" };
    Some(all.blame(later, &format!("{other} is given too: give one of them")))
}

/// Flags may say so, where a file that is used as it is gives the other.
fn no_pings(all: &Effective) -> Option<Fault> {
    let is_in_file = |key| {
        let is_in_file = |winner: &Assignment| matches!(winner.origin, Origin::File(_));
        all.winner(key).is_some_and(is_in_file)
    };
    let config = &all.settings.config;
    let is_idle = config.ping_interval.is_zero() && !config.pong_timeout.is_zero();
    let is_wrong = is_idle && is_in_file("ping_interval") && is_in_file("pong_timeout");
    let what = "with `ping_interval = 0` there are no pings to answer: take one of them away";
    is_wrong.then(|| all.blame("pong_timeout", what))
}

fn headers_of_nobody(all: &Effective) -> Option<Fault> {
    let config = &all.settings.config;
    let is_wrong = config.proxy_protocol && config.trusted_proxies.is_empty();
    let what = "nobody may send a PROXY header: name the proxies that do, by --trusted-proxies or \
                `trusted_proxies = [\"10.0.0.0/8\"]`";
    is_wrong.then(|| all.blame("proxy_protocol", what))
}

fn has_key(all: &Effective) -> bool {
    let operator = &all.settings.operator;
    operator.key.is_some() || operator.key_file.is_some()
}

/// Port 0 is another one each time.
fn has_port(address: &ListenAddr) -> bool {
    match address {
        ListenAddr::Tcp(address) => address.port() != 0,
        ListenAddr::All(port) => *port != 0,
        ListenAddr::Unix(_) => true,
    }
}

/// Whether only one of two can be listened on.
fn collide(one: &ListenAddr, other: &ListenAddr) -> bool {
    let port = |address: &ListenAddr| match address {
        ListenAddr::Tcp(address) => Some((address.port(), address.ip().is_unspecified())),
        ListenAddr::All(port) => Some((*port, true)),
        ListenAddr::Unix(_) => None,
    };
    let shares_port = match (port(one), port(other)) {
        (Some((one, one_is_all)), Some((other, other_is_all))) => {
            one == other && (one_is_all || other_is_all)
        }
        _ => false,
    };
    has_port(one) && (one == other || shares_port)
}
