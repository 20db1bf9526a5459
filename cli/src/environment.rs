//! Variables of the environment that are not what somebody meant.

use std::ffi::{OsStr, OsString};

use crate::nearest::nearest;

/// What the names of our variables begin with.
const PREFIX: &str = "THRONG_";

/// What others of our programs read.
const OTHERS: [&str; 2] = ["THRONG_TEST_", "THRONG_TUNE_"];

/// Edits from one name to another that may be slips.
const SLIPS_MAX: usize = 3;

/// Where all names stand.
const ALL: &str = "`throng config reference` lists them all";

/// A variable that is read.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: String,
    /// The name that it would have by the key of its option, which may be longer.
    pub(crate) by_key: String,
}

/// A line for each variable with our prefix that no option reads, with the name that may have been
/// meant. Those that Kubernetes sets for a service called throng are nobody's mistake.
pub(crate) fn unknown(
    variables: impl Iterator<Item = (OsString, OsString)>,
    known: &[Variable],
) -> Vec<String> {
    let strangers = variables.filter_map(|(name, value)| {
        let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX))?;
        let is_known = known.iter().any(|other| other.name == name)
            || value.is_empty()
            || OTHERS.iter().any(|prefix| name.starts_with(prefix))
            || is_of_kubernetes(&name, &value);
        (!is_known).then_some(name)
    });
    let mut lines: Vec<String> = strangers.map(|name| complain(&name, known)).collect();
    lines.sort();
    lines
}

fn complain(name: &str, known: &[Variable]) -> String {
    let by_key = known.iter().find(|other| other.by_key == name).map(|other| &*other.name);
    let names = known.iter().map(|other| &*other.name);
    match by_key.or_else(|| nearest(name, names, SLIPS_MAX)) {
        Some(nearest) => {
            format!("{name} is set, but there is no such variable; is {nearest} meant?")
        }
        None => format!("{name} is set, but there is no such variable; {ALL}"),
    }
}

/// `THRONG_SERVICE_HOST`, `THRONG_PORT=tcp://10.0.0.1:80`, `THRONG_PORT_80_TCP_ADDR`, and those of
/// services called throng-something.
fn is_of_kubernetes(name: &str, value: &OsStr) -> bool {
    let value = value.to_string_lossy();
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let has = |mark: &str| name.contains(mark);
    let is_service = has("_SERVICE_HOST") || has("_SERVICE_PORT");
    let is_port = has("_PORT_") && (has("_TCP") || has("_UDP") || has("_SCTP"));
    is_service || is_port || is_url && name.ends_with("_PORT")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(variables: &[(&str, &str)]) -> Vec<String> {
        let known = ["THRONG_WORKERS", "THRONG_LISTEN", "THRONG_PIN"]
            .map(|name| Variable { name: name.to_owned(), by_key: format!("{name}_KEY") });
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        unknown(variables, &known)
    }

    #[test]
    fn a_slip_is_told_with_the_nearest_name() {
        let [line] = &lines(&[("THRONG_WORKER", "3")])[..] else { panic!("one line is due") };
        assert!(line.contains("is THRONG_WORKERS meant?"), "{line}");
        let [line] = &lines(&[("THRONG_COLOUR", "red")])[..] else { panic!("one line is due") };
        assert!(line.contains("throng config reference"), "{line}");
        let [line] = &lines(&[("THRONG_PIN_KEY", "0")])[..] else { panic!("one line is due") };
        assert!(line.contains("is THRONG_PIN meant?"), "{line}");
        let of_port = lines(&[("THRONG_PORT", "8080")]);
        assert_eq!(of_port.len(), 1, "a person has set that: {of_port:?}");
    }

    #[test]
    fn what_is_nobodys_mistake_is_not_told() {
        let quiet = [
            ("THRONG_WORKERS", "3"),
            ("THRONG_WORKER", ""),
            ("THRONG_TEST_REQUIRE_ALL", "1"),
            ("PATH", "/bin"),
            ("THRONG_SERVICE_HOST", "10.0.0.1"),
            ("THRONG_SERVICE_PORT", "80"),
            ("THRONG_SERVICE_PORT_HTTP", "80"),
            ("THRONG_PORT", "tcp://10.0.0.1:80"),
            ("THRONG_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("THRONG_PORT_80_TCP_PROTO", "tcp"),
            ("THRONG_PORT_80_TCP_PORT", "80"),
            ("THRONG_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("THRONG_API_PORT", "tcp://10.0.0.2:80"),
        ];
        assert_eq!(lines(&quiet), [""; 0]);
    }
}
