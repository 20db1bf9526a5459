//! What the servers share: the command line, the runtime, accepting, and rooms for libraries that
//! have none.
//!
//! A handler is given a socket with `TCP_NODELAY` and does everything from the upgrade on.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use clap::Parser;
use slab::Slab;
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// sockudo-ws recommends it, and it makes the others faster as well.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Messages of a room that leave together at most.
pub const BATCH: usize = 256;

/// A connection beyond is refused by the kernel.
const BACKLOG: u32 = 65_535;

/// A longer request line and headers are refused.
const HEAD_MAX: usize = 8192;

/// The command line.
#[derive(Clone, Debug, Parser)]
pub struct Args {
    /// TCP port on 127.0.0.1; 0 lets the kernel choose.
    #[arg(long)]
    pub port: u16,
    /// Threads that serve; with 1, tokio's runtime of a single thread.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: u16,
    /// tokio-tungstenite: bytes of each connection's read buffer. Its documentation recommends 4096
    /// for very many connections.
    #[arg(long, default_value_t = 128 * 1024)]
    pub read_buffer: usize,
}

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Every message comes back.
    Echo,
    /// Every message goes to all members, its sender included.
    Room(String),
}

impl Route {
    /// The route of a path.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let path = path.split('?').next().unwrap_or(path);
        match path.strip_prefix("/room/") {
            Some(name) if !name.is_empty() => Some(Self::Room(name.to_owned())),
            _ => (path == "/echo").then_some(Self::Echo),
        }
    }
}

/// Serves until it is killed; says where it listens as soon as it does.
///
/// # Errors
///
/// If the port is taken or the runtime cannot start.
pub fn serve<H, F>(args: &Args, handle: H) -> Result<()>
where
    H: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    rlimit::increase_nofile_limit(u64::MAX).context("the limit of descriptors")?;
    let mut builder = match args.threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if args.threads > 1 {
        builder.worker_threads(args.threads.into());
    }
    let runtime = builder.enable_all().build()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    runtime.block_on(async move {
        let listener = listen(address).with_context(|| format!("cannot listen on {address}"))?;
        println!("listening on {}", listener.local_addr()?);
        // On a thread of the runtime, not on this one.
        tokio::spawn(accept(listener, handle)).await?
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept<H, F>(listener: TcpListener, handle: H) -> Result<()>
where
    H: Fn(TcpStream) -> F,
    F: Future<Output = Result<()>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        stream.set_nodelay(true)?;
        let handled = handle(stream);
        tokio::spawn(async move {
            // A connection that breaks is the client's business.
            let _ = handled.await;
        });
    }
}

/// Upgrades a connection by hand, for libraries that begin behind it.
///
/// # Errors
///
/// If it is no upgrade, or of a path that is not served.
pub async fn upgrade(stream: &mut TcpStream) -> Result<Route> {
    let mut head = BytesMut::with_capacity(1024);
    loop {
        ensure!(stream.read_buf(&mut head).await? > 0, "it ended before its request");
        if let Some((request, length)) = parse_request(&head)? {
            let Some(route) = Route::of(&request.path) else {
                stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await?;
                bail!("no such path");
            };
            ensure!(length == head.len(), "frames before the upgrade was answered");
            let accept = generate_accept_key(request.key);
            stream.write_all(&build_response(&accept, None, None)).await?;
            return Ok(route);
        }
        ensure!(head.len() <= HEAD_MAX, "a long request");
    }
}

/// Rooms by name, of members that each have a channel.
#[derive(Debug)]
pub struct Rooms<M> {
    by_name: Mutex<HashMap<String, Arc<Room<M>>>>,
}

/// Who is in a room.
#[derive(Debug)]
pub struct Room<M> {
    members: Mutex<Slab<UnboundedSender<M>>>,
}

/// A place in a room, left when it is dropped.
#[derive(Debug)]
pub struct Membership<M> {
    room: Arc<Room<M>>,
    key: usize,
}

impl<M> Default for Rooms<M> {
    fn default() -> Self {
        Self { by_name: Mutex::default() }
    }
}

impl<M: Clone> Rooms<M> {
    /// Joins a room, which begins with its first member. Rooms are kept: there are few.
    pub fn join(&self, name: &str) -> (Membership<M>, UnboundedReceiver<M>) {
        let (sender, receiver) = unbounded_channel();
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Room { members: Mutex::default() });
        let room = Arc::clone(by_name.entry(name.to_owned()).or_insert_with(fresh));
        drop(by_name);
        let key = room.members.lock().unwrap_or_else(PoisonError::into_inner).insert(sender);
        (Membership { room, key }, receiver)
    }
}

impl<M: Clone> Membership<M> {
    /// Gives a message to every member.
    pub fn publish(&self, message: &M) {
        let members = self.room.members.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, member) in members.iter() {
            // A member that is leaving takes nothing any more.
            let _ = member.send(message.clone());
        }
    }

    /// Gives a message to this member alone.
    pub fn tell(&self, message: M) {
        let members = self.room.members.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = members[self.key].send(message);
    }
}

impl<M> Drop for Membership<M> {
    fn drop(&mut self) {
        self.room.members.lock().unwrap_or_else(PoisonError::into_inner).remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_those_of_throng() {
        assert_eq!(Route::of("/echo"), Some(Route::Echo));
        assert_eq!(Route::of("/room/a?b"), Some(Route::Room("a".into())));
        assert_eq!(["/", "/room/", "/echoes"].map(Route::of), [None, None, None]);
    }

    #[test]
    fn members_hear_themselves_until_they_leave() {
        let rooms = Rooms::default();
        let (one, mut of_one) = rooms.join("a");
        let (two, mut of_two) = rooms.join("a");
        let (_other, mut of_other) = rooms.join("b");
        one.publish(&1);
        drop(one);
        two.publish(&2);
        two.tell(3);
        drop(two);
        assert_eq!([of_one.try_recv().ok(), of_one.try_recv().ok()], [Some(1), None]);
        let of_two = [(); 4].map(|()| of_two.try_recv().ok());
        assert_eq!(of_two, [Some(1), Some(2), Some(3), None]);
        assert!(of_other.try_recv().is_err());
    }
}
