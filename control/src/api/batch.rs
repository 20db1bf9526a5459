//! `POST /api/batch`: many commands in one request.
//!
//! Publishes to one room behind each other become one run of messages, as if one client had sent
//! them at once.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::command::Command;
use super::data::Message;
use super::fault::Fault;
use super::methods;
use super::pace::Pace;
use crate::respond;
use crate::state::{Server, State};

/// Commands of a request at most: 400 above.
pub(super) const COMMANDS_MAX: usize = 10_000;

/// Of these such as look at all connections or at all rooms: those behind are bad requests.
const LOOKS_MAX: usize = 100;

/// Bytes that are published to a room at once, as far as one message is not larger.
const RUN_BYTES_MAX: usize = 256 << 10;

/// The reply to nearly every command.
const PUBLISHED: &[u8] = br#"{"publish":{}},"#;

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    commands: Vec<Command<'a>>,
}

/// Publishes to one room that stand behind each other.
#[derive(Default)]
struct Run<'a> {
    room: Cow<'a, str>,
    messages: Vec<Message<'a>>,
    bytes: usize,
}

impl<'a> Run<'a> {
    fn push(&mut self, message: Message<'a>) {
        self.bytes += message.1.len();
        self.messages.push(message);
    }
}

/// What is done, and what is said of it.
struct Work<'a> {
    server: &'a Server,
    pace: Pace,
    /// Commands that looked at all connections or rooms.
    looks: usize,
    run: Run<'a>,
    replies: Vec<u8>,
}

/// See the module.
pub(super) async fn batch(Shared(state): Shared<Arc<State>>, body: Bytes) -> Response {
    let Some(server) = state.server() else { return methods::starting() };
    let commands = match serde_json::from_slice::<Batch<'_>>(&body) {
        Ok(batch) if batch.commands.len() > COMMANDS_MAX => {
            let line = "a batch may have 10000 commands: send several";
            return respond::text(StatusCode::BAD_REQUEST, line);
        }
        Ok(batch) => batch.commands,
        Err(error) => return methods::unreadable(&error),
    };
    let mut replies = Vec::with_capacity(PUBLISHED.len() * (commands.len() + 2));
    replies.extend_from_slice(br#"{"replies":["#);
    let mut work = Work { server, pace: Pace::new(), looks: 0, run: Run::default(), replies };
    for command in commands {
        if let Err(other) = work.gather(command) {
            work.take(other).await;
        }
        work.pace.pay(0).await;
    }
    work.finish_run().await;
    respond::with(StatusCode::OK, respond::JSON, work.finish())
}

/// What ends a run.
enum Other<'a> {
    /// A message that does not go into it.
    Publish(Cow<'a, str>, Message<'a>),
    /// What cannot be done.
    Fault(Fault),
    /// Something else.
    Command(Command<'a>),
}

impl<'a> Work<'a> {
    /// Takes a message that goes on with the run: most are, and need not wait.
    fn gather(&mut self, command: Command<'a>) -> Result<(), Other<'a>> {
        if self.pace.is_over() {
            return Err(Other::Fault(Fault::TOO_MANY));
        }
        let Command::Publish(publish) = command else { return Err(Other::Command(command)) };
        let (room, message) = publish.parts().map_err(Other::Fault)?;
        if self.run.room != room || self.run.bytes + message.1.len() > RUN_BYTES_MAX {
            return Err(Other::Publish(room, message));
        }
        self.run.push(message);
        Ok(())
    }

    async fn take(&mut self, other: Other<'a>) {
        self.finish_run().await;
        match other {
            Other::Publish(room, message) => {
                self.run.room = room;
                self.run.push(message);
            }
            Other::Fault(fault) => self.reply("publish", Err::<(), _>(fault)),
            Other::Command(command) => self.take_command(command).await,
        }
    }

    async fn take_command(&mut self, command: Command<'a>) {
        let server = self.server;
        match command {
            Command::Broadcast(wish) => {
                let result = methods::broadcast_to(server, *wish, &mut self.pace).await;
                self.reply("broadcast", result);
            }
            Command::Disconnect(wish) => {
                let work = super::disconnect::disconnect(server, *wish);
                let result = self.look(work).await;
                self.reply("disconnect", result);
            }
            Command::Info => {
                let result = self.look(async { Ok(super::info::info(server)) }).await;
                self.reply("info", result);
            }
            Command::Unknown | Command::Publish(_) => {
                self.reply("", Err::<(), _>(Fault::METHOD_NOT_FOUND));
            }
        }
    }

    /// Does what looks at all connections or rooms, if there were not too many of that.
    async fn look<T>(&mut self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        if self.looks == LOOKS_MAX {
            return Err(Fault::BAD_REQUEST);
        }
        self.looks += 1;
        self.pace.wait(work).await
    }

    /// Publishes what has gathered, and says it of each message.
    async fn finish_run(&mut self) {
        let Run { room, messages, .. } = std::mem::take(&mut self.run);
        if messages.is_empty() {
            return;
        }
        let published = self.server.publisher.publish(&room, &messages, self.pace.until).await;
        for _ in &messages {
            match published {
                Ok(()) => self.replies.extend_from_slice(PUBLISHED),
                Err(_) => self.reply("publish", Err::<(), _>(Fault::TOO_MANY)),
            }
        }
    }

    fn reply(&mut self, method: &str, result: Result<impl serde::Serialize, Fault>) {
        let (name, value) = match result {
            Ok(result) => (method, serde_json::to_vec(&result)),
            Err(fault) => ("error", serde_json::to_vec(&fault)),
        };
        let value = value.expect("our own values have text keys");
        for part in [br#"{""#, name.as_bytes(), br#"":"#, &value, b"},"] {
            self.replies.extend_from_slice(part);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.replies.last() == Some(&b',') {
            self.replies.pop();
        }
        self.replies.extend_from_slice(b"]}");
        self.replies
    }
}
