"""Where things are in a pod. Another root lets the agent run outside of one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Maps the absolute paths of the contracts (mlops_operator.api.wire) below ``root``."""

    root: Path = Path("/")

    def path(self, absolute: str) -> Path:
        """Give the place of a path that is absolute in the pod."""
        return self.root / absolute.lstrip("/")

    @property
    def run(self) -> Path:
        return self.path("/mlops/run")

    @property
    def code(self) -> Path:
        return self.path("/mlops/code")

    @property
    def output(self) -> Path:
        return self.path("/mlops/output")

    @property
    def model(self) -> Path:
        return self.path("/mlops/output/model")

    @property
    def tracking(self) -> Path:
        """Where MLflow clients write artifacts: below the output folder, so that all of it is kept."""
        return self.path("/mlops/output/mlflow")

    @property
    def termination_log(self) -> Path:
        return self.path("/dev/termination-log")


def write_whole(path: Path, data: bytes) -> None:
    """Make a file appear whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
