"""The agent as a real process, in a folder that stands for the pod's root, beside a real S3 server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mlops_operator.api.base import Model
from mlops_operator.api.wire import CREDENTIALS_DIR, RunIdentity
from tests.e2e.versitygw import Versitygw

T = TypeVar("T")
_OPERATOR = Path(__file__).resolve().parents[3] / "operator"


def wait_for(condition: Callable[[], T], what: str, seconds: float = 300.0) -> T:
    """Wait until a condition is true; give what it gave."""
    give_up = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < give_up, f"{what} did not come within {seconds:.0f} s"
        time.sleep(0.02)
    return value


@dataclass
class Pod:
    """A pod's file system and the agent's processes in it."""

    root: Path
    run: RunIdentity = field(
        default_factory=lambda: RunIdentity(
            name="wine", namespace="ws-test", uid="3f0e9a52-8f8e-4f0a-9d8c-2d1f6a3f4b11"
        )
    )
    sidecar: subprocess.Popen[bytes] | None = None

    def path(self, absolute: str) -> Path:
        return self.root / absolute.lstrip("/")

    def write(self, absolute: str, content: str | bytes) -> Path:
        path = self.path(absolute)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def agent(self, order: Model, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*command),
            env=self._environment(order),
            text=True,
            capture_output=True,
            timeout=300,
            check=False,
        )

    def report(self) -> dict[str, Any]:
        """Give what the agent left in its termination log."""
        content: dict[str, Any] = json.loads(self.path("/dev/termination-log").read_text(encoding="utf-8"))
        return content

    def start_sidecar(self, order: Model, port: int = 0) -> int:
        """Start it and give the port of its MLflow endpoint; 0: any."""
        ready = self.path("/mlops/run/ready")
        ready.unlink(missing_ok=True)
        ready.parent.mkdir(parents=True, exist_ok=True)
        with (self.root / "sidecar.log").open("ab") as log:
            self.sidecar = subprocess.Popen(
                self._command("sidecar", "--port", str(port)), env=self._environment(order), stderr=log
            )
        wait_for(ready.exists, "the sidecar's endpoint")
        return int(ready.read_text(encoding="utf-8"))

    def kill_sidecar(self, sign: int = signal.SIGKILL) -> int:
        assert self.sidecar is not None
        self.sidecar.send_signal(sign)
        code = self.sidecar.wait(timeout=60)
        self.sidecar = None
        return code

    def start_training(self) -> None:
        started = {"pid": 1, "startTime": "2026-03-01T10:00:00.000Z", "command": ["python", "train.py"]}
        self.write("/mlops/run/started.json", json.dumps(started))

    def end_training(self, exit_code: int = 0, **fields: Any) -> None:
        """Write what the entrypoint writes."""
        self.write("/mlops/run/log", "epoch 1\nepoch 2\n")
        done = {
            "exitCode": exit_code,
            "signal": None,
            "startTime": "2026-03-01T10:00:00.000Z",
            "endTime": "2026-03-01T10:05:00.000Z",
            "deadlineExceeded": False,
            "terminated": False,
            "oomKills": 0,
            "cpuSeconds": 1.5,
            "memoryPeakBytes": 1000,
            "logTail": "epoch 2\n",
        }
        self.write("/mlops/run/done.json.tmp", json.dumps(done | fields)).rename(
            self.path("/mlops/run/done.json")
        )

    def acknowledged(self, seconds: float = 300.0) -> dict[str, Any]:
        ack = self.path("/mlops/run/ack")
        try:
            wait_for(ack.exists, "the acknowledgement", seconds)
        except AssertionError as error:
            log = (self.root / "sidecar.log").read_text(encoding="utf-8")[-4000:]
            raise AssertionError(f"{error}\n{log}") from error
        content: dict[str, Any] = json.loads(ack.read_text(encoding="utf-8"))
        return content

    def _command(self, *command: str) -> list[str]:
        return [sys.executable, "-m", "mlops_operator.agent", "--root", str(self.root), *command]

    def _environment(self, order: Model) -> dict[str, str]:
        return os.environ | {
            "PYTHONPATH": str(_OPERATOR),
            "MLOPS_ORDER": order.model_dump_json(by_alias=True, exclude_none=True),
            "MLOPS_POD_UID": "pod-uid",
        }


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[Versitygw]:
    server = Versitygw(tmp_path / "s3")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def pod(tmp_path: Path, s3: Versitygw) -> Iterator[Pod]:
    pod = Pod(tmp_path / "pod")
    s3.write_secret(pod.path(CREDENTIALS_DIR))
    yield pod
    if pod.sidecar is not None:
        pod.kill_sidecar()
