"""A real S3 server on the loopback interface, that a test may stop and start again."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from mlops_operator.api.wire import BucketHint
from mlops_operator.storage.client import Bucket
from mlops_operator.storage.credentials import Credentials

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 300.0


def find_versitygw() -> Path:
    """Give the binary. Raises AssertionError where it was not built: a test never skips for that."""
    here = _ROOT / ".state" / "bin" / "versitygw"
    if here.is_file():
        return here
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlops-operator" / "bin"
    built = sorted(cache.glob("*/versitygw"), key=lambda path: path.stat().st_mtime)
    assert built, "versitygw is not built: run `make cluster`, which builds it"
    return built[-1]


@dataclass
class Versitygw:
    """The server: its bucket is a folder, its port stays the same over restarts."""

    folder: Path
    bucket: str = "ws-test"
    access_key: str = field(default_factory=lambda: secrets.token_hex(8))
    secret_key: str = field(default_factory=lambda: secrets.token_hex(16))
    port: int = field(
        default_factory=lambda: _free_port()  # noqa: PLW0108 - defined below
    )
    _process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def hint(self) -> BucketHint:
        return BucketHint(endpoint=self.endpoint, bucket=self.bucket)

    @property
    def objects(self) -> Path:
        """Where the objects lie as files."""
        return self.folder / "data" / self.bucket

    def open(self, *, patience_seconds: float = 20.0) -> Bucket:
        credentials = Credentials(
            endpoint=self.endpoint,
            region="us-east-1",
            bucket=self.bucket,
            access_key_id=self.access_key,
            secret_access_key=self.secret_key,
        )
        return Bucket(lambda: credentials, patience_seconds=patience_seconds)

    def write_secret(self, folder: Path) -> None:
        """Write the workspace's Secret as a mounted volume shows it."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.endpoint,
            "BUCKET": self.bucket,
        }
        for name, value in content.items():
            (folder / name).write_text(value, encoding="utf-8")

    def start(self) -> None:
        self.objects.mkdir(parents=True, exist_ok=True)
        with (self.folder / "versitygw.log").open("ab") as log:
            self._process = subprocess.Popen(
                [find_versitygw(), "--port", f"127.0.0.1:{self.port}", "posix", str(self.folder / "data")],
                env=os.environ
                | {"ROOT_ACCESS_KEY_ID": self.access_key, "ROOT_SECRET_ACCESS_KEY": self.secret_key},
                stdout=log,
                stderr=log,
            )
        give_up = time.monotonic() + _START_SECONDS
        while not _listens(self.port):
            assert self._process.poll() is None, (self.folder / "versitygw.log").read_text(encoding="utf-8")
            assert time.monotonic() < give_up, "versitygw does not listen"
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        connection.settimeout(0.5)
        return connection.connect_ex(("127.0.0.1", port)) == 0
