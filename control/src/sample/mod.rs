//! What is to be known of a server at one moment, beside what its workers count themselves.
//!
//! It is gathered when somebody asks, at most once a second, and everybody who asks within that
//! second gets the same. It never asks a worker twice at once.

mod host;
mod process;

pub(crate) use host::TcpMemory;
pub(crate) use process::{Process, Tasks};

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use throng::worker::{Inquiry, Report, Totals};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::ask::ask;
use crate::state::Server;

/// How long a sample holds.
const FRESH: Duration = Duration::from_millis(900);

/// See the module.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) workers: Vec<Worker>,
    pub(crate) process: Process,
    /// Nothing where /proc/net is hidden.
    pub(crate) tcp: Option<TcpMemory>,
}

/// Of one worker.
#[derive(Debug)]
pub(crate) struct Worker {
    /// CPU time of its thread; nothing where /proc is hidden.
    pub(crate) cpu: Option<Duration>,
    /// Envelopes in its mailbox, and their bytes.
    pub(crate) mailbox: (usize, usize),
    /// What it holds; nothing if it has not answered.
    pub(crate) totals: Option<Totals>,
}

/// The latest sample.
#[derive(Debug, Default)]
pub(crate) struct Samples(Mutex<Option<(Instant, Arc<Sample>)>>);

impl Samples {
    /// The latest one, or another if that is old. Who comes while one is gathered waits for it.
    pub(crate) async fn latest(&self, server: &Server) -> Arc<Sample> {
        let mut latest = self.0.lock().await;
        match &*latest {
            Some((at, sample)) if at.elapsed() < FRESH => Arc::clone(sample),
            _ => {
                let sample = Arc::new(gather(server).await);
                *latest = Some((Instant::now(), Arc::clone(&sample)));
                sample
            }
        }
    }
}

async fn gather(server: &Server) -> Sample {
    // All at once: those that do not answer are waited for together.
    let workers = join_all((0..server.monitor.facts().workers).map(|worker| async move {
        let totals = match ask(&server.monitor, worker, Inquiry::Totals).await {
            Ok(Report::Totals(totals)) => Some(totals),
            _ => None,
        };
        let cpu = server.tasks.cpu(worker);
        Worker { cpu, mailbox: server.monitor.mailbox(worker), totals }
    }))
    .await;
    Sample { workers, process: server.tasks.process(), tcp: TcpMemory::read() }
}
