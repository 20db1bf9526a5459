//! Real workers on prepared drivers, and what their clients send.

use std::sync::Arc;

use super::prepared::{NoWaker, Prepared};
use throng::config::Config;
use throng::id::ConnId;
use throng::limits::MAILBOX_CAPACITY;
use throng::wire::{Opcode, mask};
use throng::worker::{Shared, Worker, mailboxes};

/// The fields that browsers send.
const FIELDS: &str = "Host: chat.example:8080\r\n\
    Connection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/140.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\n\
    Origin: http://chat.example:8080\r\nSec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// What browsers ask for beside.
const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

pub(crate) fn workers(count: usize) -> Vec<Worker<Prepared>> {
    const CONNECTIONS: usize = 2000;
    let shared = Arc::new(Shared::new(Config::default(), count, CONNECTIONS));
    let mail = mailboxes(&vec![NoWaker; count], MAILBOX_CAPACITY).into_iter();
    let worker =
        |mail| Worker::new(Prepared::new(), Arc::clone(&shared), Arc::default(), mail, CONNECTIONS);
    mail.map(worker).collect()
}

pub(crate) fn conns(count: usize) -> impl Iterator<Item = ConnId> {
    (0..count as u32).map(|index| ConnId { index, generation: index })
}

pub(crate) fn turn(worker: &mut Worker<Prepared>) {
    worker.turn().expect("this driver does not fail");
}

/// A request for messages as they are.
pub(crate) fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\n{FIELDS}\r\n").into_bytes()
}

/// A request for compressed messages where that pays.
pub(crate) fn request_deflate(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\n{FIELDS}{DEFLATE}\r\n").into_bytes()
}

/// Opens sessions, and lets their responses go.
pub(crate) fn open(worker: &mut Worker<Prepared>, request: &[u8], count: usize) {
    worker.driver().accept(conns(count));
    worker.driver().receive(conns(count).map(|conn| (conn, request.to_vec())));
    turn(worker);
    // So many at once are more than a turn handles.
    while !worker.driver().is_at_rest() {
        turn(worker);
    }
    worker.driver().receive(std::iter::empty());
    turn(worker);
}

pub(crate) fn opened(path: &str, count: usize) -> Worker<Prepared> {
    let mut worker = workers(1).remove(0);
    open(&mut worker, &request(path), count);
    worker
}

pub(crate) fn frames(count: usize, length: usize) -> Vec<u8> {
    client_frame(Opcode::Text, &vec![b'x'; length]).repeat(count)
}

/// A frame as clients send it. The worker unmasks it in place each time that it is handed out, so
/// the key turns ASCII into ASCII: text is text every time.
pub(crate) fn client_frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x12, 0x05, 0x1f, 0x0a];
    let mut bytes = vec![0x80 | opcode as u8];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(KEY);
    let start = bytes.len();
    bytes.extend(payload);
    mask::unmask(&mut bytes[start..], KEY, 0);
    bytes
}
