//! Text that must not be shown.

use std::fmt;

/// A key. Whoever prints it sees asterisks.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

/// What is shown instead.
pub(crate) const SHOWN: &str = "***";

/// Longer ones do not fit into the head of a request beside what else is there.
pub(super) const BYTES_MAX: usize = 1024;

impl Secret {
    /// Takes a key, as it can stand in a field of a request.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without saying it.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let needed = match text.len() {
            0 => "a key is needed".to_owned(),
            1..=BYTES_MAX if text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                return Ok(Self(text.to_owned()));
            }
            1..=BYTES_MAX => "the key has spaces or bytes that are no ASCII".to_owned(),
            length => format!("the key has {length} bytes, and {BYTES_MAX} are the most"),
        };
        Err(format!("{needed}; `openssl rand -hex 32` makes one"))
    }

    /// The key itself, for who compares it.
    #[cfg(feature = "operator")]
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_or_refused_and_never_shown() {
        let key = Secret::new("0123456789abcdef").expect("it is long enough");
        assert_eq!(format!("{key:?} {:?}", Some(&key)), "*** Some(***)");
        let long = "x".repeat(BYTES_MAX + 1);
        for bad in ["", "a key of some words", "schlüsselschlüssel", &long] {
            let told = Secret::new(bad).expect_err(bad);
            assert!(told.contains("openssl rand"), "{told}");
            assert!(bad.is_empty() || !told.contains(bad), "{told}");
        }
    }
}
