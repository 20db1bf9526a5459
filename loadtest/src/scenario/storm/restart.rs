//! One server after the other at the same address.

use std::time::Duration;

use super::returning::Returning;
use crate::engine::Crew;
use crate::run::Run;
use crate::server::Server;

/// When what happened, on the clock of the run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restart {
    /// The server was told to stop, or it was waited for from here on.
    pub(super) begin_ns: u64,
    /// The old server has gone; `None` if somebody else restarts it.
    pub(super) gone_ns: Option<u64>,
    /// The next one listens.
    pub(super) listens_ns: Option<u64>,
}

/// Tells the server to stop, waits until it has gone, and starts the next one.
pub(super) fn replace(
    run: &mut Run,
    crew: &Crew<Returning>,
    mut server: Server,
    next: &str,
    within: Duration,
) -> Result<Restart, String> {
    let begin_ns = run.clock.now_ns();
    server.terminate()?;
    run.progress.begin("stopping the server", 0);
    let has_gone = run.wait(within, crew, |_, _| !server.is_running())?;
    run.progress.end();
    if !has_gone {
        let waited = within.as_secs();
        return Err(format!("told to stop, the server still runs after {waited} s; see --within"));
    }
    let gone_ns = run.clock.now_ns();
    run.report.problems.extend(server.stop().1);
    let cpus = run.common.server_cpus.clone();
    let next = Server::spawn(next, run.target.address, cpus.as_ref())?;
    run.sampler.watch(Some(next.pid));
    run.server = Some(next);
    let listens_ns = run.clock.now_ns();
    Ok(Restart { begin_ns, gone_ns: Some(gone_ns), listens_ns: Some(listens_ns) })
}
