//! Paths of Unix sockets: taken over from the dead, given to those who may connect, removed again.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::Group;
use socket2::{Domain, SockAddr, Socket, Type};

use super::patience::patiently;
use crate::config::{Config, UnixGroup};

/// A path that is ours until this is dropped.
#[derive(Debug)]
pub(super) struct UnixPath {
    path: PathBuf,
    inode: u64,
    /// Whether the service manager has the listener, to which the path must lead on.
    is_kept: Arc<AtomicBool>,
}

/// Binds and listens. Mode and group are set in between, while nobody can connect.
pub(super) fn open(
    path: &Path,
    config: &Config,
    backlog: i32,
    is_kept: Arc<AtomicBool>,
) -> io::Result<(Socket, UnixPath)> {
    patiently(|| remove_stale(path))?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let inode = fs::symlink_metadata(path)?.ino();
    let ours = UnixPath { path: path.to_owned(), inode, is_kept };
    set_rights(path, config)?;
    socket.set_nonblocking(true)?;
    socket.listen(backlog)?;
    Ok((socket, ours))
}

/// Gives a path to those who may connect.
pub(super) fn set_rights(path: &Path, config: &Config) -> io::Result<()> {
    if let Some(group) = &config.unix_group {
        give_to(path, group)?;
    }
    if let Some(mode) = config.unix_mode {
        fs::set_permissions(path, Permissions::from_mode(mode.0))?;
    }
    Ok(())
}

impl Drop for UnixPath {
    /// Removes it, unless a newer server has put its own there, or the listener outlives us.
    fn drop(&mut self) {
        let is_kept = self.is_kept.load(Ordering::Acquire);
        if !is_kept
            && fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode)
        {
            // Somebody else may have removed it just now.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn give_to(path: &Path, group: &UnixGroup) -> io::Result<()> {
    let (id, shown) = match group {
        UnixGroup::Id(id) => (*id, id.to_string()),
        UnixGroup::Name(name) => {
            let missing = || io::Error::new(io::ErrorKind::NotFound, no_group(name));
            (Group::from_name(name)?.ok_or_else(missing)?.gid.as_raw(), name.clone())
        }
    };
    lchown(path, None, Some(id)).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => io::Error::other(format!(
            "its group cannot become {shown}: only root, or who is in that group, may do that \
             (SupplementaryGroups= in a unit)"
        )),
        _ => error,
    })
}

fn no_group(name: &str) -> String {
    format!("there is no group {name} (`getent group` lists them); choose another --unix-group")
}

/// A path that a server left behind is replaced; one where somebody answers is not.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if metadata.is_dir() {
        return Err(io::Error::other("that is a directory: name a file in it"));
    }
    if !metadata.file_type().is_socket() {
        return Err(io::Error::other(
            "a file that is no socket is there; remove it or choose another path with --listen",
        ));
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A server that hangs has a full queue, and a connect would wait for it.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}
