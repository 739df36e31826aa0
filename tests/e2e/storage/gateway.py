"""A real S3 server (versitygw) on loopback, on a folder: to be stopped and started, and given other keys."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from mlops_operator.storage.client import Bucket
from mlops_operator.storage.credentials import Credentials

ROOT = Path(__file__).resolve().parents[3]
BINARY = ROOT / ".state" / "bin" / "versitygw"
BUCKET = "ws-alice"
_STARTS_WITHIN_SECONDS = 300.0


def binary() -> Path:
    """Give the server's program. Fails, and does not skip, where it was not built."""
    assert BINARY.exists(), f"there is no {BINARY}: run `make e2e`, which builds it"
    return BINARY


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Gateway:
    """The server over ``folder``; each folder below it is a bucket."""

    folder: Path
    log: Path
    port: int = field(default_factory=free_port)
    access_key_id: str = "alice"
    secret_access_key: str = "first-secret"
    _process: subprocess.Popen[bytes] | None = None

    @property
    def credentials(self) -> Credentials:
        return Credentials(
            endpoint=f"http://127.0.0.1:{self.port}",
            region="us-east-1",
            bucket=BUCKET,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
        )

    def bucket(self, *, patience_seconds: float = 10.0) -> Bucket:
        return Bucket(lambda: self.credentials, patience_seconds=patience_seconds)

    def start(self) -> None:
        (self.folder / BUCKET).mkdir(exist_ok=True)
        command = [
            str(binary()),
            *("--port", f"127.0.0.1:{self.port}"),
            *("--access", self.access_key_id, "--secret", self.secret_access_key),
            *("posix", str(self.folder)),
        ]
        with self.log.open("ab") as log:
            environment = {"PATH": os.environ["PATH"], "HOME": str(self.log.parent)}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        self._wait_until_it_listens()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _wait_until_it_listens(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _STARTS_WITHIN_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"versitygw ended:\n{self.log.read_text()}"
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"versitygw does not listen:\n{self.log.read_text()}")
