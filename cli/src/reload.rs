//! What SIGHUP does: the options are read again, and hold as far as they can without another start.

#[cfg(feature = "operator")]
use std::sync::Arc;

use throng::server::Reloader;
#[cfg(feature = "operator")]
use throng_control::Running;

use crate::allocator;
#[cfg(feature = "operator")]
use crate::operator;
use crate::options::{Inputs, Reloaded, Settings};
use crate::subscriber::LevelHandle;

/// A server that runs with these settings, and all that takes others.
#[derive(Debug)]
pub(crate) struct Reload {
    inputs: Inputs,
    running: Settings,
    server: Reloader,
    level: LevelHandle,
    #[cfg(feature = "operator")]
    operator: Option<Arc<Running>>,
}

impl Reload {
    pub(crate) fn new(
        inputs: Inputs,
        running: Settings,
        server: Reloader,
        level: LevelHandle,
    ) -> Self {
        Self {
            inputs,
            running,
            server,
            level,
            #[cfg(feature = "operator")]
            operator: None,
        }
    }

    /// The operator's port takes others too.
    #[cfg(feature = "operator")]
    pub(crate) fn with_operator(self, operator: Option<Arc<Running>>) -> Self {
        Self { operator, ..self }
    }

    /// Reads the options again. Where anything is wrong with them, nothing changes.
    pub(crate) fn reload(&mut self) {
        match self.inputs.reload(&self.running) {
            Ok(reloaded) => self.take(reloaded),
            Err(lines) => {
                lines.iter().for_each(|line| tracing::error!("{line}"));
                tracing::error!("SIGHUP: nothing has changed, because of the above");
            }
        }
    }

    fn take(&mut self, Reloaded { mut settings, needs_restart }: Reloaded) {
        with_allocator(&mut settings);
        #[cfg(feature = "operator")]
        if let Some(operator) = &self.operator
            && let Err(error) = operator.reload(operator::options(&settings))
        {
            return tracing::error!("SIGHUP: nothing has changed: {error}");
        }
        if let Err(error) = self.server.reload(settings.config.clone()) {
            return tracing::error!("SIGHUP: nothing has changed: {error}");
        }
        self.level.set(settings.log.level);
        self.running = settings;
        tracing::info!("SIGHUP: the options are read again, and hold from now on");
        if !needs_restart.is_empty() {
            let keys = needs_restart.join(", ");
            tracing::warn!("these have changed too, and need a restart: {keys}");
        }
    }
}

/// The allocator of this program counts, and gives back what a burst has left.
pub(crate) fn with_allocator(settings: &mut Settings) {
    settings.config.on_burst_freed = allocator::return_holes;
    settings.config.memory_in_use = allocator::in_use;
}
