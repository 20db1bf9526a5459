//! The operator's port: its options, its way up, and others while it runs.

use throng_control::{Bound, Error, Options};

use crate::options::Settings;

/// Listens, before the server starts. Where nobody has chosen a place and another server has the
/// usual one, as one that this takes over from or several on a host, this one goes on without
/// until it is free. What comes to the listeners of
/// clients it answers in any case.
pub(crate) fn open(settings: &Settings, is_chosen: bool) -> Result<Option<Bound>, Error> {
    if let Some(listen) = settings.operator.listen.clone() {
        let options = Options { listen, ..options(settings) };
        return match throng_control::bind(options.clone()) {
            Err(error) if error.is_in_use() && !is_chosen => {
                tracing::warn!("{error}; until the port is free this server goes on without");
                throng_control::bind_when_free(options).map(Some)
            }
            bound => bound.map(Some),
        };
    }
    let is_public = settings.config.api_public;
    is_public.then(|| throng_control::without_port(options(settings))).transpose()
}

/// Its options, but where it listens.
pub(crate) fn options(settings: &Settings) -> Options {
    let operator = settings.operator.clone();
    Options {
        key: operator.key.map(|key| key.reveal().to_owned()),
        allowed_hosts: operator.allowed_hosts,
        metrics: operator.metrics,
        metrics_key: operator.metrics_key,
        ..Options::default()
    }
}
