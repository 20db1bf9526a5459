//! The operator's port: its options, its way up, and others while it runs.

use throng_control::{Bound, Error, Options};

use crate::options::Settings;

/// Listens, before the server starts. Where nobody has chosen a place and another server has the
/// usual one, as several on a host are, this one goes on without.
pub(crate) fn open(settings: &Settings, is_chosen: bool) -> Result<Option<Bound>, Error> {
    let Some(options) = options(settings) else { return Ok(None) };
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
    let operator = settings.operator.clone();
    Some(Options {
        listen: operator.listen?,
        key: operator.key.map(|key| key.reveal().to_owned()),
        allowed_hosts: operator.allowed_hosts,
        metrics: operator.metrics,
        metrics_key: operator.metrics_key,
    })
}
