"""Probes and metrics over plain HTTP. No probe asks anything outside of the process."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web


def application(why_not_ready: Callable[[], str | None], metrics: Callable[[], bytes]) -> web.Application:
    """Make the server's application.

    Parameters
    ----------
    why_not_ready
        Gives a sentence while this process cannot serve, None once it leads and knows the cluster.
    metrics
        Gives the metrics in Prometheus' text format.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")  # the event loop answers: that is what it says

    async def readyz(_: web.Request) -> web.Response:
        reason = why_not_ready()
        if reason is None:
            return web.Response(text="ok\n")
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text=f"{reason}\n")

    async def expose(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", expose)
    return app
