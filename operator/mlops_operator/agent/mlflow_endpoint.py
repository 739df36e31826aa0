"""The HTTP server of the MLflow endpoint: on the loopback interface, in a thread of its own."""

from __future__ import annotations

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from mlops_operator.agent.mlflow_api import SERVER_VERSION, MlflowApi
from mlops_operator.agent.mlflow_errors import ApiError

_log = logging.getLogger(__name__)
_MAX_BODY_BYTES = 8 * 1024 * 1024
_LOOPBACK = "127.0.0.1"


class MlflowEndpoint:
    """Serves `MlflowApi` while the context is open.

    Parameters
    ----------
    port
        Port on the loopback interface; 0: any free one, see ``port`` afterwards.
    """

    def __init__(self, api: MlflowApi, port: int) -> None:
        class Handler(_Handler):
            mlflow = api

        self._server = ThreadingHTTPServer((_LOOPBACK, port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="mlflow", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    mlflow: MlflowApi
    protocol_version = "HTTP/1.1"
    # With Nagle's algorithm a metric takes 44 ms instead of 1 ms.
    disable_nagle_algorithm = True
    wbufsize = 65536
    timeout = 600

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path in ("/health", "/version"):
            self._send(200, ("OK" if url.path == "/health" else SERVER_VERSION).encode(), "text/plain")
            return
        self._call(url.path, {key: values[-1] for key, values in parse_qs(url.query).items()})

    def do_POST(self) -> None:
        self._call_with_body()

    def do_PATCH(self) -> None:
        self._call_with_body()

    def do_DELETE(self) -> None:
        self._call_with_body()

    def _call_with_body(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > _MAX_BODY_BYTES:
            self.close_connection = True
            self._refuse(413, "REQUEST_LIMIT_EXCEEDED", f"a request may have {_MAX_BODY_BYTES} bytes")
            return
        content = self.rfile.read(length)
        if urlsplit(self.path).path == "/v1/traces":
            # In protobuf. The client says so in the log, once, and goes on.
            self._refuse(404, "ENDPOINT_NOT_FOUND", "traces are not kept within a run of the operator")
            return
        try:
            body = json.loads(content or b"{}")
        except ValueError as error:
            self._refuse(400, "BAD_REQUEST", f"the request is not JSON: {error}")
            return
        self._call(urlsplit(self.path).path, body if isinstance(body, dict) else {})

    def _call(self, path: str, body: dict[str, Any]) -> None:
        try:
            answer = self.mlflow.answer(self.command, path, body)
        except ApiError as error:
            self._refuse(error.status, error.code, str(error))
        except Exception as error:  # noqa: BLE001 - answered as 500
            _log.exception("%s %s", self.command, path)
            self._refuse(500, "INTERNAL_ERROR", f"{type(error).__name__}: {error}")
        else:
            self._send(200, json.dumps(answer).encode(), "application/json")

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"error_code": code, "message": message}).encode()
        self._send(status, body, "application/json")

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        _log.debug(format, *args)
