//! The operator's port: its options, its way up, and others while it runs.

use throng::config::ListenAddr;
use throng_control::{Bound, Error, Options};

use crate::options::Settings;

/// Listens, before the server starts. Where nobody has chosen a place and another server has the
/// usual one, as several on a host are, this one goes on without.
pub(crate) fn open(settings: &Settings, is_chosen: bool) -> Result<Option<Bound>, Error> {
    let Some(options) = options(settings) else {
        // The key and the hosts are the same, where requests come to the listeners of clients.
        let elsewhere = Options { listen: ListenAddr::All(0), ..of(settings) };
        let is_needed = settings.config.api_public;
        return is_needed.then(|| throng_control::without_port(elsewhere)).transpose();
    };
    match throng_control::bind(options) {
        Err(error) if error.is_in_use() && !is_chosen => {
            tracing::warn!("{error}");
            Ok(None)
        }
        bound => bound.map(Some),
    }
}

/// Its options; nothing where it is off.
pub(crate) fn options(settings: &Settings) -> Option<Options> {
    let listen = settings.operator.listen.clone()?;
    Some(Options { listen, ..of(settings) })
}

fn of(settings: &Settings) -> Options {
    let operator = settings.operator.clone();
    Options {
        key: operator.key.map(|key| key.reveal().to_owned()),
        allowed_hosts: operator.allowed_hosts,
        metrics: operator.metrics,
        metrics_key: operator.metrics_key,
        ..Options::default()
    }
}
