//! From an address to a thread that serves it, and its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use throng::config::ListenAddr;
use throng::server::{Monitor, Questions};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::held;
use crate::options::Options;
use crate::port::{Port, listen};
use crate::serve;
use crate::state::{Rules, State};

/// An operator's port that listens already, for a server that is about to start: `/ready` says so.
#[derive(Debug)]
pub struct Bound(Running);

/// An operator's port of a server. Dropped, it ends, and with it the requests under way.
#[derive(Debug)]
pub struct Running {
    state: Arc<State>,
    address: Option<SocketAddr>,
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Listens, and starts the thread that answers.
///
/// # Errors
///
/// What the operator has to mend.
pub fn bind(options: Options) -> Result<Bound, Error> {
    let rules = Rules { options: Arc::new(options), serves_clients: false };
    check(&rules)?;
    let address = &rules.options.listen;
    let bound = listen(address).map_err(|error| Error::Listen(address.clone(), error))?;
    start(rules, Port::Bound(bound.0, bound.1))
}

/// The same where another program listens: it does so itself when that has gone, as an earlier
/// process of this server does that says goodbye to its clients.
///
/// # Errors
///
/// What the operator has to mend.
pub fn bind_when_free(options: Options) -> Result<Bound, Error> {
    let rules = Rules { options: Arc::new(options), serves_clients: false };
    check(&rules)?;
    let address = rules.options.listen.clone();
    start(rules, Port::Awaited(address))
}

/// Starts the thread that answers, without a port of its own: for who answers requests that come to
/// the listeners of clients ([`Running::answer_clients`]). So it needs a key, whatever address is
/// in the options.
///
/// # Errors
///
/// What the operator has to mend.
pub fn without_port(options: Options) -> Result<Bound, Error> {
    let rules = Rules { options: Arc::new(options), serves_clients: true };
    check(&rules)?;
    start(rules, Port::Off)
}

fn start(rules: Rules, port: Port) -> Result<Bound, Error> {
    let address = port.address();
    let state = Arc::new(State::new(rules));
    let (stop, stopped) = oneshot::channel();
    // Here, where a failure can still be told.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::Thread)?;
    let (theirs, handle) = (Arc::clone(&state), runtime.handle().clone());
    let thread = thread::Builder::new().name("operator".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = serve::serve(port, theirs) => {}
                // Dropped without a word is as good.
                _ = stopped => {}
            }
        });
        runtime.shutdown_background();
    });
    let thread = Some(thread.map_err(Error::Thread)?);
    Ok(Bound(Running { state, address, runtime: handle, stop: Some(stop), thread }))
}

fn check(Rules { options, serves_clients }: &Rules) -> Result<(), Error> {
    let is_visible = |key: &String| !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic());
    match &options.key {
        None if *serves_clients => Err(Error::NoKeyForClients),
        None if !options.is_local() => Err(Error::NoKey(options.listen.clone())),
        Some(key) if !is_visible(key) => Err(Error::BadKey),
        _ => match &options.listen {
            ListenAddr::Unix(_) => Err(Error::NotTcp(options.listen.clone())),
            ListenAddr::Tcp(_) | ListenAddr::All(_) => Ok(()),
        },
    }
}

impl Bound {
    /// Serves a server.
    #[must_use]
    pub fn serve(self, monitor: Monitor) -> Running {
        let Self(running) = self;
        running.state.begin(monitor);
        running
    }

    /// Where it listens, if it does; port 0 has become a real one.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.address
    }
}

impl Running {
    /// Answers what the server's workers hold for it ([`throng::config::Config::api_public`]), as
    /// if it had come to this port, until the server has ended. Who calls there needs the key, and
    /// from here on no reload takes it away.
    ///
    /// # Errors
    ///
    /// If there is no key, or if there can be no more threads.
    pub fn answer_clients(&self, questions: Questions) -> Result<(), Error> {
        self.state.change_rules(|rules| {
            let rules = Rules { options: Arc::clone(&rules.options), serves_clients: true };
            check(&rules).map(|()| rules)
        })?;
        let (runtime, state) = (self.runtime.clone(), Arc::clone(&self.state));
        held::answer_all(runtime, state, questions).map_err(Error::Thread)
    }

    /// Takes another key, other hosts, and other switches of the metrics. It goes on listening
    /// where it does.
    ///
    /// # Errors
    ///
    /// If it would stand open to other hosts, or to clients; nothing has changed then.
    pub fn reload(&self, options: Options) -> Result<(), Error> {
        self.state.change_rules(|rules| {
            let options = Options { listen: rules.options.listen.clone(), ..options };
            let rules = Rules { options: Arc::new(options), serves_clients: rules.serves_clients };
            check(&rules).map(|()| rules)
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // If it panicked the log has it.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::thread::park_timeout;
    use std::time::Duration;

    use super::*;

    fn check_port(options: Options) -> Result<(), Error> {
        check(&Rules { options: Arc::new(options), serves_clients: false })
    }

    #[test]
    fn a_port_that_others_reach_needs_a_key() {
        let at = |listen: &str, key: Option<&str>| Options {
            listen: listen.parse().expect("it is an address"),
            key: key.map(str::to_owned),
            ..Options::default()
        };
        for open in ["0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:1"] {
            let error = check_port(at(open, None)).expect_err("there is no key");
            assert!(error.to_string().contains("--operator-key-file"), "{error}");
            assert!(check_port(at(open, Some("k"))).is_ok());
        }
        for local in ["127.0.0.1:0", "[::1]:0", "127.8.0.1:0"] {
            assert!(check_port(at(local, None)).is_ok(), "{local}");
        }
        assert!(matches!(check_port(at("127.0.0.1:0", Some("a b"))), Err(Error::BadKey)));
        assert!(matches!(check_port(at("unix:/a", Some("k"))), Err(Error::NotTcp(_))));
    }

    #[test]
    fn a_port_in_use_is_told_with_the_remedy() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = taken.local_addr().expect("it is bound");
        let options = Options { listen: ListenAddr::Tcp(address), ..Options::default() };
        let error = bind(options).expect_err("it is taken");
        assert!(error.is_in_use());
        assert!(error.to_string().contains("--operator off"), "{error}");
    }

    #[test]
    fn a_port_is_taken_when_another_program_has_let_go_of_it() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = taken.local_addr().expect("it is bound");
        let options = Options { listen: ListenAddr::Tcp(address), ..Options::default() };
        let waiting = bind_when_free(options).expect("it waits");
        assert_eq!(waiting.address(), None);
        drop(taken);
        while TcpStream::connect(address).is_err() {
            park_timeout(Duration::from_millis(50));
        }
    }

    #[test]
    fn a_reload_does_not_open_the_door() {
        let key = || Some("k".to_owned());
        let listen: ListenAddr = "0.0.0.0:0".parse().expect("it is an address");
        let options = Options { listen, key: key(), ..Options::default() };
        let Bound(running) = bind(options).expect("there is a free port");
        assert!(matches!(running.reload(Options::default()), Err(Error::NoKey(_))));
        assert_eq!(running.state.options().key, key());
        let other = Options { key: Some("l".into()), metrics: false, ..Options::default() };
        running.reload(other).expect("it has a key");
        assert!(!running.state.options().metrics);
    }

    #[test]
    fn where_clients_are_answered_there_is_a_key_for_good() {
        let config = || throng::config::Config {
            listen: vec!["127.0.0.1:0".parse().expect("it is an address")],
            workers: 1,
            ..throng::config::Config::default()
        };
        let listen: ListenAddr = "127.0.0.1:0".parse().expect("it is an address");
        let with = |key: Option<&str>| Options {
            listen: listen.clone(),
            key: key.map(str::to_owned),
            ..Options::default()
        };
        assert!(matches!(without_port(with(None)), Err(Error::NoKeyForClients)));
        let Bound(alone) = without_port(with(Some("k"))).expect("it has a key");
        assert!(matches!(alone.reload(with(None)), Err(Error::NoKeyForClients)));
        let server = throng::server::Server::start(config()).expect("nothing is in the way");
        let running = bind(with(None)).expect("a free port").serve(server.monitor());
        let refused = running.answer_clients(server.questions());
        assert!(matches!(refused, Err(Error::NoKeyForClients)), "{refused:?}");
        running.reload(with(Some("k"))).expect("it may have one");
        running.reload(with(None)).expect("nobody but this host reaches it");
        running.reload(with(Some("k"))).expect("it may have one");
        running.answer_clients(server.questions()).expect("it has a key");
        assert!(matches!(running.reload(with(None)), Err(Error::NoKeyForClients)));
        assert_eq!(running.state.options().key.as_deref(), Some("k"));
    }
}
