//! The server on fastwebsockets.

#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use clap::Parser;
use fastwebsockets::{
    FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocket,
    WebSocketRead, WebSocketWrite, after_handshake_split,
};
use peers::{Args, BATCH, Membership, Rooms, Route, serve, upgrade};
use tokio::io::{AsyncRead, AsyncWrite, BufWriter};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::unconstrained;

/// Messages of a room that leave in one write.
const WRITE_BYTES: usize = 4096;

/// A message to a member.
#[derive(Clone)]
struct Out {
    opcode: OpCode,
    payload: Bytes,
}

impl Out {
    fn of(frame: Frame<'_>) -> Self {
        let payload = match frame.payload {
            Payload::Bytes(bytes) => bytes.freeze(),
            Payload::Owned(bytes) => bytes.into(),
            Payload::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Payload::BorrowedMut(bytes) => Bytes::copy_from_slice(bytes),
        };
        Self { opcode: frame.opcode, payload }
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let rooms = Arc::new(Rooms::default());
    // Unconstrained as its example of an echo is.
    serve(&args, move |stream| unconstrained(handle(stream, Arc::clone(&rooms))))
}

async fn handle(mut stream: TcpStream, rooms: Arc<Rooms<Out>>) -> Result<()> {
    match upgrade(&mut stream).await? {
        Route::Echo => echo(stream).await,
        Route::Room(name) => room(stream, &rooms, &name).await,
    }
}

/// As its example has it. Pongs and the answer to a close are its own.
async fn echo(stream: TcpStream) -> Result<()> {
    let mut socket = WebSocket::after_handshake(stream, Role::Server);
    socket.set_writev(true);
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

/// Reading is not safe to cancel, so it goes on beside writing, in the same task.
async fn room(mut stream: TcpStream, rooms: &Rooms<Out>, name: &str) -> Result<()> {
    let (membership, published) = rooms.join(name);
    let (read, write) = stream.split();
    let write = BufWriter::with_capacity(WRITE_BYTES, write);
    let (reader, writer) = after_handshake_split(read, write, Role::Server);
    tokio::select! {
        read = publish(reader, &membership) => read,
        written = deliver(writer, published) => written,
    }
}

async fn publish<S>(reader: WebSocketRead<S>, membership: &Membership<Out>) -> Result<()>
where
    S: AsyncRead + Unpin,
{
    let mut reader = FragmentCollectorRead::new(reader);
    let mut oblige = |frame: Frame<'_>| {
        membership.tell(Out::of(frame));
        std::future::ready(Ok::<(), Infallible>(()))
    };
    loop {
        let frame = reader.read_frame(&mut oblige).await?;
        match frame.opcode {
            // The answer ends the writer, and with it the connection.
            OpCode::Close => std::future::pending().await,
            OpCode::Text | OpCode::Binary => membership.publish(&Out::of(frame)),
            _ => {}
        }
    }
}

/// What was published meanwhile leaves together.
async fn deliver<S>(
    mut writer: WebSocketWrite<S>,
    mut published: UnboundedReceiver<Out>,
) -> Result<()>
where
    S: AsyncWrite + Unpin,
{
    let mut batch: Vec<Out> = Vec::new();
    while !writer.is_closed() {
        published.recv_many(&mut batch, BATCH).await;
        for Out { opcode, payload } in batch.drain(..) {
            let frame = Frame::new(true, opcode, None, Payload::Borrowed(&payload));
            writer.write_frame(frame).await?;
            if writer.is_closed() {
                break;
            }
        }
        writer.flush().await?;
    }
    Ok(())
}
