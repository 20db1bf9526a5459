//! The operator's port: where it is to be, and its way up.

use std::str::FromStr;

use throng::config::ListenAddr;
use throng_control::{Bound, Error, Options};

/// Where the operator's port is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere.
    Off,
    /// There.
    At(ListenAddr),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::At).map_err(|error| format!("{error}, or off")),
        }
    }
}

/// Listens, before the server starts. Where nobody has chosen a place and another server has the
/// usual one, as several on a host are, this one goes on without.
pub(crate) fn open(place: Option<Place>, key: Option<String>) -> Result<Option<Bound>, Error> {
    let usual = Options { key, ..Options::default() };
    let (options, is_chosen) = match place {
        Some(Place::Off) => return Ok(None),
        Some(Place::At(listen)) => (Options { listen, ..usual }, true),
        None => (usual, false),
    };
    match throng_control::bind(options) {
        Err(error) if error.is_in_use() && !is_chosen => {
            tracing::warn!("{error}");
            Ok(None)
        }
        bound => bound.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!("off".parse(), Ok(Place::Off));
        let listen = "127.0.0.1:9".parse().expect("it is an address");
        assert_eq!("127.0.0.1:9".parse(), Ok(Place::At(listen)));
        assert!("of".parse::<Place>().is_err_and(|error| error.ends_with("or off")));
    }
}
