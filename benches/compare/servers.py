"""Which servers are compared, and how loadtest has to speak to each."""

import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "benches" / "peers"
# Cargo takes the folder for the server and for the peers alike, if it is told one.
TARGET = os.environ.get("CARGO_TARGET_DIR")
RELEASE = Path(TARGET or ROOT / "target").resolve() / "release"
PEERS_RELEASE = Path(TARGET or PEERS / "target").resolve() / "release"
LOADTEST = RELEASE / "loadtest"

# Every server has one core, so one thread.
THREADS = 1
PORT = "{port}"
# mimalloc asks the kernel for huge pages, which makes every buffer of a connection resident at its
# birth, used or not: an idle connection of sockudo-ws had 86 KB instead of 13, and a connect took
# 200 us instead of 21. Messages cost these the same; tokio-tungstenite is faster with huge pages.
NO_HUGE_PAGES = ["env", "MIMALLOC_ALLOW_THP=0"]
ROOM = "loadtest"


@dataclass(frozen=True)
class Server:
    """One server; `{port}` in its command and addresses is the port of a run."""

    name: str
    command: str
    echo_url: str
    room_url: str
    # Which of the floor's two ways of calling the kernel is its own.
    backend: str = "epoll"
    # What loadtest needs beside the address: for all, and to be in a room.
    options: tuple[str, ...] = ()
    room_options: tuple[str, ...] = ()
    echo_options: tuple[str, ...] = ()
    # What loadtest needs where clients send messages.
    publish_options: tuple[str, ...] = field(default=())

    def arguments(self, place, port, sends):
        """What of loadtest's command line is the server's."""
        url = self.echo_url if place == "echo" else self.room_url
        more = self.echo_options if place == "echo" else self.room_options
        arguments = ["--spawn", self.command.replace(PORT, str(port))]
        arguments += ["--url", url.replace(PORT, str(port)), *self.options, *more]
        return arguments + list(self.publish_options if sends else ())


def plain(name, command, base="ws://127.0.0.1:{port}", backend="epoll"):
    """A server with /echo and /room/NAME."""
    words = command if isinstance(command, str) else shlex.join(map(str, command))
    return Server(name, words, f"{base}/echo", f"{base}/room/{ROOM}", backend)


def throng(backend):
    """This server; its own name is in the columns of the table."""
    command = [RELEASE / "throng", "--listen", f"127.0.0.1:{PORT}", "--operator", "off"]
    command += ["--workers", THREADS, "--backend", backend]
    return plain(f"throng {backend}", command, backend=backend)


def socket_io():
    """Socket.IO has no paths: what opens a connection also joins the room."""
    url = "ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
    command = shlex.join(["node", str(PEERS / "socket.io.mjs"), "--port", PORT])
    return Server(
        "Socket.IO",
        command,
        url,
        url,
        options=("--reply", "2=3", "--settle", "2s"),
        room_options=("--on-open", '40{"room":"%s"}' % ROOM),
        echo_options=("--on-open", "40"),
        publish_options=("--publish", '42["message","{payload}"]'),
    )


def known():
    """All that are in this repository: throng first, then the peers."""
    port, threads = ["--port", PORT], ["--threads", THREADS]
    rust = {"tokio-tungstenite": [], "fastwebsockets": NO_HUGE_PAGES, "sockudo-ws": NO_HUGE_PAGES}
    servers = [throng("io_uring"), throng("epoll")]
    servers += [plain(name, [*before, PEERS_RELEASE / name, *port, *threads])
                for name, before in rust.items()]
    servers.append(plain("ws", ["node", PEERS / "ws.mjs", *port]))
    servers.append(socket_io())
    bun = PEERS / "node_modules" / ".bin" / "bun"
    servers.append(plain("Bun", [bun, PEERS / "bun.mjs", *port]))
    return servers


def parse_peer(text):
    """NAME=COMMAND=URLBASE, where {port} stands for the port in both."""
    name, _, rest = text.partition("=")
    command, _, base = rest.rpartition("=")
    if not (name and command and base.startswith("ws://")) or PORT not in command + base:
        raise ValueError(f"{text}: NAME=COMMAND=ws://HOST:PORT is needed, with {{port}} in it")
    return plain(name, command, base.rstrip("/"))
