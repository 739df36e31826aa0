"""Pushes progress to the operator, and leaves it in the bucket where no push arrives.

Nothing that goes wrong here ever stops the training.
"""

from __future__ import annotations

import http.client
import logging
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from mlops_operator.api.wire import ProgressReport

_log = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 5.0
_MAX_BACKOFF_SECONDS = 30.0
# One lost report is an operator that is restarted.
_FAILURES_BEFORE_LEAVING = 2
_REFUSED_FOR_GOOD = frozenset({413, 422})
_NO_CONTENT = 204


class PushFailed(Exception):  # noqa: N818
    """The endpoint did not take a report. ``final``: it never will."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class ProgressEndpoint:
    """The operator's endpoint.

    Parameters
    ----------
    url
        https://… (or http://…).
    token
        File with the pod's token; read for every report, as the kubelet replaces it.
    certificate_authority
        PEM; default: the roots of the image.
    """

    def __init__(self, url: str, token: Path, certificate_authority: str | None) -> None:
        self._url = urlsplit(url)
        self._token = token
        self._context = None
        if self._url.scheme == "https":
            self._context = ssl.create_default_context(cadata=certificate_authority or None)

    def push(self, body: bytes, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        """Send a report. Raises PushFailed."""
        host, port = self._url.hostname or "", self._url.port
        connection: http.client.HTTPConnection
        if self._context is not None:
            connection = http.client.HTTPSConnection(
                host, port, timeout=timeout_seconds, context=self._context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout_seconds)
        try:
            headers = {
                "Authorization": f"Bearer {self._token.read_text(encoding='ascii').strip()}",
                "Content-Type": "application/json",
            }
            connection.request("POST", self._url.path or "/", body, headers)
            answer = connection.getresponse()
            text = answer.read(1024).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
            raise PushFailed(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if answer.status != _NO_CONTENT:
            raise PushFailed(f"HTTP {answer.status}: {text}", final=answer.status in _REFUSED_FOR_GOOD)


class Reporter:
    """Sends a report whenever something changed, at most once an interval, and at once when asked.

    Parameters
    ----------
    build
        Gives the report for a sequence number.
    version
        Gives a value that differs when there is something new to say.
    leave
        Puts a report where the operator looks for it when nothing arrives; it may raise anything.
    """

    def __init__(
        self,
        endpoint: ProgressEndpoint | None,
        build: Callable[[int], ProgressReport],
        version: Callable[[], object],
        interval_seconds: float,
        leave: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self._endpoint = endpoint
        self._build = build
        self._version = version
        self._interval = interval_seconds
        self._sequence = 0
        self._sent: object = None
        self._leave = leave
        self._failures = 0
        self._wake = threading.Event()
        self._stopping = False
        self._delivered = threading.Condition()
        self._thread = threading.Thread(target=self._loop, name="progress", daemon=True)

    def start(self) -> None:
        if self._endpoint is not None:
            self._thread.start()

    def now(self, wait_seconds: float = 0.0) -> bool:
        """Send at once; wait for the delivery at most so long, and say whether it came."""
        if self._endpoint is None:
            return False
        version = self._version()
        self._wake.set()
        with self._delivered:
            return self._delivered.wait_for(lambda: self._sent == version, wait_seconds)

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_TIMEOUT_SECONDS + 1)

    def _loop(self) -> None:
        while not self._stopping:
            version = self._version()
            if version != self._sent:
                self._send(version)
            pause = min(_MAX_BACKOFF_SECONDS, self._interval * 2**self._failures)
            self._wake.wait(pause)
            self._wake.clear()

    def _send(self, version: object) -> None:
        if self._endpoint is None:
            return
        # Rises over restarts of this process too.
        self._sequence = max(self._sequence + 1, time.time_ns() // 1_000_000)
        body = b""
        try:
            body = self._build(self._sequence).model_dump_json(by_alias=True, exclude_none=True).encode()
            self._endpoint.push(body)
        except PushFailed as error:
            _log.warning("the operator did not take the progress: %s", error)
            if not error.final:
                self._failed(body)
                return
        except Exception:  # noqa: BLE001 - never stops the training
            _log.exception("progress cannot be reported")
            self._failed(body)
            return
        self._failures = 0
        with self._delivered:
            self._sent = version
            self._delivered.notify_all()

    def _failed(self, body: bytes) -> None:
        self._failures += 1
        if self._failures < _FAILURES_BEFORE_LEAVING or not body:
            return
        try:
            self._leave(body)
        except Exception as error:  # noqa: BLE001 - never stops the training
            _log.warning("progress.json is not in the bucket: %s", error)
