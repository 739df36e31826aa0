"""Starts and stops the two HTTP servers: probes and metrics, and the progress endpoint."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import web

from mlops_operator.controller.certificates import Certificates


@asynccontextmanager
async def serving(
    application: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Serve an application as long as the context lasts."""
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        yield
    finally:
        await runner.cleanup()


def server_context() -> ssl.SSLContext:
    """Make the TLS context of the progress endpoint; ``use`` gives it its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def use(context: ssl.SSLContext, certificates: Certificates) -> None:
    """Present this certificate to new connections from now on."""
    # ssl reads files alone; they are gone again at once.
    with TemporaryDirectory(prefix="mlops-") as folder:
        chain = Path(folder, "tls.pem")
        chain.touch(mode=0o600)
        chain.write_bytes(certificates.certificate + certificates.key)
        context.load_cert_chain(chain)
