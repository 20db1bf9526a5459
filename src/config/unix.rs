//! Who may connect to Unix sockets: the mode and the group of their paths.

use std::str::FromStr;

/// Permissions of a path, the lowest nine bits of st_mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixMode(pub u32);

/// A group, which is looked up when the path is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnixGroup {
    /// By its number.
    Id(u32),
    /// By its name.
    Name(String),
}

impl FromStr for UnixMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_octal = (3..=4).contains(&text.len()) && !text.starts_with('+');
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
        mode.map(Self).ok_or_else(|| {
            "octal permissions like 0660 are needed: connecting takes the right to write".into()
        })
    }
}

impl FromStr for UnixGroup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) if text.is_empty() => Err("a group is needed, by name or number".into()),
            Err(_) => Ok(Self::Name(text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        for (text, mode) in [("0660", 0o660), ("660", 0o660), ("0777", 0o777), ("000", 0)] {
            assert_eq!(text.parse(), Ok(UnixMode(mode)), "{text}");
        }
        for bad in ["", "6", "0o660", "rw", "1777", "0680", "+660"] {
            assert!(bad.parse::<UnixMode>().is_err(), "{bad}");
        }
    }

    #[test]
    fn groups_have_names_or_numbers() {
        assert_eq!("33".parse(), Ok(UnixGroup::Id(33)));
        assert_eq!("www-data".parse(), Ok(UnixGroup::Name("www-data".into())));
        assert!("".parse::<UnixGroup>().is_err());
    }
}
