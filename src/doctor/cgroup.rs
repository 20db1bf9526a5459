//! What the memory cgroups of this process leave to it.

use std::fs;
use std::path::{Path, PathBuf};

/// The files of one version of cgroups.
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
pub(super) fn available(root: &Path) -> Option<u64> {
    let memberships = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = memberships.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let path = path.trim_start_matches('/');
        match controllers {
            "" => Some((V2, root.join("sys/fs/cgroup"), path)),
            _ if controllers.split(',').any(|name| name == "memory") => {
                Some((V1, root.join("sys/fs/cgroup/memory"), path))
            }
            _ => None,
        }
    });
    let left = mounts.flat_map(|(names, mount, path)| {
        let folders: Vec<PathBuf> =
            Path::new(path).ancestors().map(|own| mount.join(own)).collect();
        folders.into_iter().filter_map(move |folder| left_in(&folder, &names))
    });
    left.min()
}

fn left_in(folder: &Path, names: &Names) -> Option<u64> {
    // "max" is no number, and means that there is no limit.
    let limit = number(&folder.join(names.limit)).filter(|limit| *limit < UNLIMITED)?;
    let usage = number(&folder.join(names.usage)).unwrap_or(0);
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let reclaimable = stat.lines().find_map(|line| line.strip_prefix(names.reclaimable));
    let reclaimable = reclaimable.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0);
    Some(limit.saturating_sub(usage.saturating_sub(reclaimable)))
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
