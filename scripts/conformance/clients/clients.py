"""The Python clients against an echo server: clients.py ws://127.0.0.1:PORT/PATH

One PASS or FAIL line a client, 'N passed, N failed' last; exit status 0 when none failed.
"""

import asyncio
import sys

import aiohttp
import websocket
from websockets.asyncio.client import connect

URL = sys.argv[1]
TIME_LIMIT = 30
SIZES = [0, 1, 125, 126, 65535, 65536, 1000000]
BURST = 200


def text_of(length):
    return ("h\u00e9 \U0001f600 " * (length // 5 + 1))[:length]


def bytes_of(length):
    return bytes((i * 31 + length) & 255 for i in range(length))


def payloads():
    """A text and a binary of every size of the length field."""
    for size in SIZES:
        yield text_of(size)
        yield bytes_of(size)


def expect(what, got, wanted):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r:.100} instead of {wanted!r:.100}")


async def use_websockets(compression, extensions):
    async with connect(URL, compression=compression, max_size=None, proxy=None) as client:
        expect("extensions", [e.name for e in client.protocol.extensions], extensions)
        for payload in payloads():
            await client.send(payload)
            expect("echo", await client.recv(), payload)
        for i in range(BURST):
            await client.send(f"message {i}")
        for i in range(BURST):
            expect("echo", await client.recv(), f"message {i}")
        await client.send(iter(["frag", "men", "ted"]))
        expect("echo", await client.recv(), "fragmented")
        await (await client.ping(b"payload"))
        await client.close(1000)
        expect("close code", client.close_code, 1000)


async def use_aiohttp(window_bits):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(URL, compress=window_bits, max_msg_size=0) as client,
    ):
        expect("compression", bool(client.compress), bool(window_bits))
        for payload in payloads():
            if isinstance(payload, str):
                await client.send_str(payload)
                expect("echo", await client.receive_str(), payload)
            else:
                await client.send_bytes(payload)
                expect("echo", await client.receive_bytes(), payload)
        for i in range(BURST):
            await client.send_str(f"message {i}")
        for i in range(BURST):
            expect("echo", await client.receive_str(), f"message {i}")
        await client.close(code=1000)
        expect("close code", client.close_code, 1000)


def use_websocket_client():
    client = websocket.create_connection(URL, timeout=TIME_LIMIT, http_no_proxy=["*"])
    for payload in payloads():
        if isinstance(payload, str):
            client.send(payload)
        else:
            client.send_binary(payload)
        expect("echo", client.recv(), payload)
    for i in range(BURST):
        client.send(f"message {i}")
    for i in range(BURST):
        expect("echo", client.recv(), f"message {i}")
    client.ping("payload")
    opcode, frame = client.recv_data_frame(control_frame=True)
    expect("pong", (opcode, frame.data), (websocket.ABNF.OPCODE_PONG, b"payload"))
    client.send_close(1000)
    opcode, frame = client.recv_data_frame(control_frame=True)
    expect("close", (opcode, frame.data[:2]), (websocket.ABNF.OPCODE_CLOSE, b"\x03\xe8"))
    client.shutdown()


async def main():
    runs = [
        ("PyPI websockets, with compression", use_websockets("deflate", ["permessage-deflate"])),
        ("PyPI websockets, without compression", use_websockets(None, [])),
        ("PyPI aiohttp, with compression", use_aiohttp(15)),
        ("PyPI aiohttp, without compression", use_aiohttp(0)),
        ("PyPI websocket-client", asyncio.to_thread(use_websocket_client)),
    ]
    failed = 0
    for name, run in runs:
        try:
            await asyncio.wait_for(run, TIME_LIMIT)
            print(f"PASS {name}", flush=True)
        except Exception as error:  # whatever a client raises is that client's failure
            failed += 1
            print(f"FAIL {name}: {type(error).__name__}: {error!s:.200}", flush=True)
    print(f"{len(runs) - failed} passed, {failed} failed")
    return failed


sys.exit(1 if asyncio.run(main()) else 0)
