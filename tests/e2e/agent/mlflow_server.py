"""Real MLflow servers on the loopback interface, and one behind what SharingHub puts before it."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.e2e.agent.mlflow_clients import client_python

_START_SECONDS = 300.0
TOKEN = "glpat-0123456789"
PREFIX = "/mlflow/alice/wine/tracking"
PROJECT = " (42)"


def stable_port() -> int:
    """Give a free port that stays free: below those that the system gives to connections."""
    while True:
        port = secrets.randbelow(12_000) + 20_000
        with socket.socket() as listener:
            if listener.connect_ex(("127.0.0.1", port)) != 0:
                return port


@dataclass
class MlflowServer:
    """``mlflow server`` of a version; its port and data stay the same over restarts."""

    folder: Path
    version: str
    port: int = field(default_factory=stable_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        store = f"sqlite:///{self.folder}/mlflow.db" if self.version[0] == "3" else str(self.folder / "store")
        program = client_python(self.version).parent / "mlflow"
        options = ["--backend-store-uri", store, "--artifacts-destination", str(self.folder / "artifacts")]
        options += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "server", *options],
                env={
                    "PATH": f"{program.parent}:{os.environ['PATH']}",
                    "HOME": str(self.folder),
                    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                },
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        give_up = time.monotonic() + _START_SECONDS
        while not self._answers():
            log_text = (self.folder / "server.log").read_text(encoding="utf-8")[-3000:]
            assert self._process.poll() is None, log_text
            assert time.monotonic() < give_up, log_text
            time.sleep(0.1)

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def call(self, method: str, path: str, **body: Any) -> Any:
        url = f"{self.uri}/api/2.0/mlflow/{path}"
        data = None if method == "GET" else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310
            f"{url}?{urlencode(body)}" if method == "GET" else url,
            data,
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    def runs(self, experiment: str) -> dict[str, Any]:
        """Give the runs of an experiment by their names."""
        found = self.call("GET", "experiments/get-by-name", experiment_name=experiment)
        body = {"experiment_ids": [found["experiment"]["experiment_id"]], "max_results": 1000}
        return {run["info"]["run_name"]: run for run in self.call("POST", "runs/search", **body)["runs"]}

    def history(self, run: Any, metric: str) -> list[tuple[int, float]]:
        query = {"run_id": run["info"]["run_id"], "metric_key": metric}
        found = self.call("GET", "metrics/get-history", **query)["metrics"]
        return sorted((int(point.get("step", 0)), float(point["value"])) for point in found)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/version", timeout=5) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False


def pairs(run: Any, kind: str) -> dict[str, Any]:
    return {item["key"]: item["value"] for item in run["data"].get(kind, [])}


class SharingHub:
    """What SharingHub does before its MLflow server.

    A path for each project, a bearer token, and names that end with the project's id; else 403. It listens only while
    the context is open, so that it may be away.
    """

    def __init__(self, server: MlflowServer) -> None:
        self.port = stable_port()
        self.token = TOKEN
        self._server = server
        self._http: ThreadingHTTPServer | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}{PREFIX}/"

    def start(self) -> None:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, kind, answer = hub.answer(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        if headers.get("Authorization") != f"Bearer {self.token}":
            return 401, "text/plain", b"Unauthorized"
        if not path.startswith(f"{PREFIX}/api/"):
            return 404, "text/html", b"<h1>Not found</h1>"
        call = path.removeprefix(PREFIX)
        if re.search(r"/(experiments|registered-models)/create$", call) and not json.loads(body)[
            "name"
        ].endswith(PROJECT):
            return 403, "application/json", b'{"error_code": "PERMISSION_DENIED", "message": "wrong name"}'
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=60)
        try:
            content = {"Content-Type": headers.get("Content-Type", "application/json")}
            connection.request(method, call, body, content)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Content-Type", "text/plain"), answer.read()
        finally:
            connection.close()
