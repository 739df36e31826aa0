"""A forward proxy that says what it is asked for, one line a request: ``CONNECT host:port``, ``GET http://host/path``.

It runs in a pod of its own, with the standard library alone. Its argument is JSON: ``tunnels``, from the ``host:port``
that a client asks for to the one that is dialled; ``listeners``, from a port on which it speaks TLS with
/certificates/trusted.{crt,key} to the ``host:port`` that gets the plain text. What is not asked for as a tunnel is
answered by the proxy itself.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from contextlib import suppress

PORT = 3128
CERTIFICATE = "/certificates/trusted.crt"
KEY = "/certificates/trusted.key"
GREETING = b"through the proxy"


async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str) -> None:
    """Carry bytes both ways until one side has ended."""
    host, _, port = target.rpartition(":")
    far_reader, far_writer = await asyncio.open_connection(host, int(port))
    ways = [
        asyncio.create_task(carry(reader, far_writer)),
        asyncio.create_task(carry(far_reader, writer)),
    ]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way in ways:
        way.cancel()
    far_writer.close()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):  # An end that was not announced is one as well.
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tunnels: dict[str, str]) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    method, asked, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ", 2)
    print(method, asked, flush=True)
    if method != "CONNECT":
        length = f"Content-Length: {len(GREETING)}\r\nConnection: close\r\n\r\n".encode()
        writer.write(b"HTTP/1.1 200 OK\r\n" + length + GREETING)
    elif asked in tunnels:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await join(reader, writer, tunnels[asked])
    else:
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


async def serve(tunnels: dict[str, str], listeners: dict[str, str]) -> None:
    async def on_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):  # The kubelet's probe connects and says nothing.
            await answer(reader, writer, tunnels)
        writer.close()

    def on_plain_text(target: str) -> asyncio.streams._ClientConnectedCallback:
        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await join(reader, writer, target)
            writer.close()

        return forward

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE, KEY)
    servers = [await asyncio.start_server(on_request, port=PORT)]
    for port, target in listeners.items():
        servers.append(await asyncio.start_server(on_plain_text(target), port=int(port), ssl=context))
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(serve(**json.loads(sys.argv[1])))
