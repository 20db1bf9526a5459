//! Which CPUs the workers are pinned to.

use std::str::FromStr;

/// CPUs of a `cpu_set_t`.
const CPUS_MAX: usize = 1024;

/// Where workers run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pin {
    /// Each to a CPU of the affinity mask if there are as many workers as CPUs, or more, which go
    /// round robin. Fewer are not pinned: the kernel finds the idle ones, also beside other servers
    /// on the same machine, which would all begin with the first CPU.
    #[default]
    Auto,
    /// None is pinned.
    Off,
    /// To these CPUs, round robin.
    List(Vec<usize>),
}

impl FromStr for Pin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            list => cpus(list).map(Self::List).ok_or_else(|| NEITHER.into()),
        }
    }
}

const NEITHER: &str = "auto, off or a list of CPUs like 0,2-5 is needed";

/// The CPUs of a list like `0,2-5`, in its order.
fn cpus(list: &str) -> Option<Vec<usize>> {
    let number = |text: &str| text.trim().parse::<usize>().ok().filter(|cpu| *cpu < CPUS_MAX);
    let mut all = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (number(first)?, number(last)?);
        if first > last || all.len() > CPUS_MAX {
            return None;
        }
        all.extend(first..=last);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_cpus_and_ranges() {
        assert_eq!("0".parse(), Ok(Pin::List(vec![0])));
        assert_eq!("0,2-5".parse(), Ok(Pin::List(vec![0, 2, 3, 4, 5])));
        assert_eq!("3, 1".parse(), Ok(Pin::List(vec![3, 1])));
        assert_eq!(("auto".parse(), "off".parse()), (Ok(Pin::Auto), Ok(Pin::Off)));
        for bad in ["", "on", "-1", "5-2", "0,,1", "1024", "0-1024", "a-b"] {
            assert_eq!(bad.parse::<Pin>(), Err(NEITHER.into()), "{bad}");
        }
    }
}
