//! How much memory the server may take where nobody says it.

use std::path::Path;

use nix::sys::sysinfo::sysinfo;

use super::cgroup;

/// Half of what the host has or our cgroups allow, whichever is less: the other half is the
/// kernel's, which takes some four kilobytes for each connection and what waits in its buffers.
pub(super) fn default_budget() -> usize {
    let host = sysinfo().map_or(u64::MAX, |info| info.ram_total());
    let allowed = host.min(cgroup::limit(Path::new("/")).unwrap_or(u64::MAX));
    usize::try_from(allowed / 2).unwrap_or(usize::MAX)
}
