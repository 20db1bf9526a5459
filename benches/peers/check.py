#!/usr/bin/env python3
"""Checks that every server here echoes and has rooms as throng does.

Needs the PyPI package websockets. Names of servers as arguments check those only; with
`--url ws://HOST:PORT` a server that runs already is checked instead, throng itself for one.
"""

import argparse
import asyncio
import contextlib
import json
import pathlib
import subprocess
import sys

import websockets

HERE = pathlib.Path(__file__).resolve().parent
RELEASE = HERE / "target" / "release"
COMMANDS = {
    "tokio-tungstenite": [RELEASE / "tokio-tungstenite"],
    "tokio-tungstenite, 2 threads": [RELEASE / "tokio-tungstenite", "--threads", "2"],
    "fastwebsockets": [RELEASE / "fastwebsockets"],
    "fastwebsockets, 2 threads": [RELEASE / "fastwebsockets", "--threads", "2"],
    "sockudo-ws": [RELEASE / "sockudo-ws"],
    "sockudo-ws, 2 threads": [RELEASE / "sockudo-ws", "--threads", "2"],
    "ws": ["node", HERE / "ws.mjs"],
    "socket.io": ["node", HERE / "socket.io.mjs"],
    "bun": [HERE / "node_modules" / ".bin" / "bun", HERE / "bun.mjs"],
}
MEMBERS = 20
# Both sides of the lengths at which frames change, and more than one read takes.
SIZES = [0, 1, 20, 125, 126, 1000, 65535, 65536, 300_000]
TIMEOUT = 10


def text(size):
    return "é" * (size // 2) + "a" * (size % 2)


def binary(size):
    return bytes(range(256)) * (size // 256) + bytes(size % 256)


class Plain:
    """WebSocket messages as they are."""

    def __init__(self, base):
        self.base = base

    @contextlib.asynccontextmanager
    async def open(self, room=None):
        path = "/echo" if room is None else f"/room/{room}"
        async with connect(self.base + path) as socket:
            yield socket

    makers = [text, binary]


class SocketIoConnection:
    """One client of Socket.IO, by the packets of its protocol."""

    def __init__(self, socket):
        self.socket = socket

    async def send(self, message):
        await self.socket.send("42" + json.dumps(["message", message]))

    async def recv(self):
        while True:
            packet = await self.socket.recv()
            if packet == "2":
                await self.socket.send("3")
            elif packet.startswith("42"):
                event, message = json.loads(packet[2:])
                assert event == "message", packet
                return message


class SocketIo:
    """The same by Socket.IO, which has no paths."""

    def __init__(self, base):
        self.base = base

    @contextlib.asynccontextmanager
    async def open(self, room=None):
        auth = "" if room is None else json.dumps({"room": room})
        async with connect(f"{self.base}/socket.io/?EIO=4&transport=websocket") as socket:
            assert (await socket.recv()).startswith("0{")
            await socket.send("40" + auth)
            assert (await socket.recv()).startswith("40{")
            yield SocketIoConnection(socket)

    makers = [text]


def connect(url):
    return websockets.connect(
        url, max_size=None, max_queue=None, ping_interval=None, close_timeout=1
    )


async def echoes(client):
    """Text and binary of every size come back as they were, in order."""
    messages = [make(size) for make in client.makers for size in SIZES]
    async with client.open() as socket:
        for message in messages:
            await socket.send(message)
            assert await socket.recv() == message, f"{len(message)} come back as they were"
        many = [f"number {at}" for at in range(2000)]
        sender = asyncio.gather(*[socket.send(message) for message in many])
        for message in many:
            assert await socket.recv() == message, "messages in flight come back in order"
        await sender


async def rooms(client):
    """Everybody in the room has each message once, and nobody else has any."""
    async with contextlib.AsyncExitStack() as stack:
        async def enter(room):
            return await stack.enter_async_context(client.open(room))

        here = [await enter("here") for _ in range(MEMBERS)]
        there = await enter("there")
        # Whoever hears itself is in. Those who came before hear it as well.
        for at, member in enumerate([*here, there]):
            await member.send(f"in {at}")
            while await member.recv() != f"in {at}":
                pass
        await here[0].send("begin")
        for member in here:
            while await member.recv() != "begin":
                pass
        messages = [make(size) for make in client.makers for size in (20, 125, 65536)]
        messages += [f"number {at}" for at in range(500)]
        for message in messages:
            await here[0].send(message)
        for member in here:
            for message in messages:
                assert await member.recv() == message, "each message once, in order"
        # Whoever leaves is missed by nobody.
        async with client.open("here") as passing:
            await passing.send("passing")
            assert await passing.recv() == "passing"
        for member in here:
            assert await member.recv() == "passing"
        await here[1].send("end")
        for member in here:
            assert await member.recv() == "end"
        await there.send("alone")
        assert await there.recv() == "alone", "rooms do not hear each other"


async def manners(client):
    """A ping is answered, a close as well, and other paths are refused."""
    if isinstance(client, SocketIo):
        return
    for path in ("/echo", "/room/manners"):
        async with connect(client.base + path) as socket:
            await (await socket.ping(b"are you there"))
            await socket.close(1000)
            assert socket.close_code == 1000, socket.close_code
    try:
        async with connect(client.base + "/elsewhere"):
            raise AssertionError("a path that is not served is refused")
    except websockets.exceptions.InvalidStatus as refusal:
        assert refusal.response.status_code == 404, refusal


async def check(client):
    """What failed, or nothing."""
    for part in (echoes, rooms, manners):
        try:
            await asyncio.wait_for(part(client), TIMEOUT)
        except asyncio.TimeoutError:
            return f"{part.__name__}: not done in {TIMEOUT} s"
        except (AssertionError, OSError, websockets.exceptions.WebSocketException) as error:
            return f"{part.__name__}: {error!r}"
    return None


@contextlib.contextmanager
def started(command):
    server = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"{command[0]} said {line!r}: is it built? See README.md")
        yield "ws://" + line.split()[-1]
    finally:
        server.kill()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="check the server that listens there")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(COMMANDS)}")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(COMMANDS)
    if unknown:
        parser.error(f"no such server: {', '.join(sorted(unknown))}")
    failures = {}
    if arguments.url:
        failures[arguments.url] = asyncio.run(check(Plain(arguments.url)))
    for name in [] if arguments.url else arguments.names or COMMANDS:
        with started(COMMANDS[name]) as base:
            client = SocketIo(base) if name == "socket.io" else Plain(base)
            failures[name] = asyncio.run(check(client))
    for name, failure in failures.items():
        print(f"{name}: {failure or 'passed'}")
    return 1 if any(failures.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
