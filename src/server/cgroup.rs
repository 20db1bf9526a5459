//! What the memory cgroups of this process leave to it.

use std::fs;
use std::path::{Path, PathBuf};

/// The files of one version of cgroups.
#[derive(Clone, Copy)]
struct Names {
    limit: &'static str,
    usage: &'static str,
    /// The field of memory.stat with the bytes that the kernel takes back when it needs them.
    reclaimable: &'static str,
}

const V1: Names = Names {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file ",
};

const V2: Names =
    Names { limit: "memory.max", usage: "memory.current", reclaimable: "inactive_file " };

/// From here on a limit of version 1 means none: it counts in pages up to the largest number.
const UNLIMITED: u64 = 1 << 60;

/// Bytes that the tightest of our cgroups leaves; `None` if none is limited.
#[must_use]
pub fn available(root: &Path) -> Option<u64> {
    folders(root).filter_map(|(folder, names)| left_in(&folder, &names)).min()
}

/// Bytes that the tightest of our cgroups allows; `None` if none is limited.
#[must_use]
pub fn limit(root: &Path) -> Option<u64> {
    folders(root).filter_map(|(folder, names)| limit_of(&folder, &names)).min()
}

/// The folders of our cgroups and of those around them.
fn folders(root: &Path) -> impl Iterator<Item = (PathBuf, Names)> {
    let memberships = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mounts: Vec<_> = memberships.lines().filter_map(|line| mount(root, line)).collect();
    mounts.into_iter().flat_map(|(names, mount, path)| {
        let folders: Vec<_> = path.ancestors().map(|own| (mount.join(own), names)).collect();
        folders
    })
}

/// The version of a membership, where its cgroups lie, and which is ours.
fn mount(root: &Path, line: &str) -> Option<(Names, PathBuf, PathBuf)> {
    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
    let path = path.trim_start_matches('/').into();
    match controllers {
        "" => Some((V2, root.join("sys/fs/cgroup"), path)),
        _ if controllers.split(',').any(|name| name == "memory") => {
            Some((V1, root.join("sys/fs/cgroup/memory"), path))
        }
        _ => None,
    }
}

/// "max" is no number, and means that there is no limit.
fn limit_of(folder: &Path, names: &Names) -> Option<u64> {
    number(&folder.join(names.limit)).filter(|limit| *limit < UNLIMITED)
}

fn left_in(folder: &Path, names: &Names) -> Option<u64> {
    let limit = limit_of(folder, names)?;
    let usage = number(&folder.join(names.usage)).unwrap_or(0);
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let reclaimable = stat.lines().find_map(|line| line.strip_prefix(names.reclaimable));
    let reclaimable = reclaimable.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0);
    Some(limit.saturating_sub(usage.saturating_sub(reclaimable)))
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
