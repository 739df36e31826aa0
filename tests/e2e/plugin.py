"""``kubectl mlops`` as a user has it: on the path, beside kubectl."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from hack.plugin import install
from mlops_operator.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.kube import Kube


@dataclass(frozen=True)
class Plugin:
    """The plugin in a workspace, with the bucket's address as this machine reaches it."""

    folder: Path
    kube: Kube
    namespace: str
    endpoint: str

    @classmethod
    def installed(cls, folder: Path, kube: Kube, namespace: str, endpoint: str) -> Plugin:
        install(folder)
        found = shutil.which(kube.kubectl_program)
        assert found is not None
        (folder / "kubectl").symlink_to(Path(found).resolve())
        return cls(folder, kube, namespace, endpoint)

    def run(
        self, *words: str, code: int = 0, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``kubectl mlops …`` and hold that it ends with this code."""
        done = self.start("kubectl", "mlops", *words, *self.place(), variables=variables or {})
        assert done.returncode == code, (
            f"{words}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
        return done

    def said(self, *words: str, variables: Mapping[str, str] | None = None) -> str:
        """Give the output of a command that is called in this process: so it need not load Python and boto3 anew."""
        environment = {"KUBECONFIG": str(self.kube.kubeconfig), "KUBECTL": self.kube.kubectl_program}
        done = CliRunner().invoke(
            app, [*words, *self.place()], env={**environment, **(variables or {})}, catch_exceptions=False
        )
        assert done.exit_code == 0, f"{words}: {done.exit_code}\n{done.output[-4000:]}"
        return done.stdout

    def place(self) -> list[str]:
        return ["--namespace", self.namespace, "--endpoint", self.endpoint]

    def start(self, *words: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "KUBECONFIG": str(self.kube.kubeconfig), **variables}
        return subprocess.run(
            words, env=environment, capture_output=True, text=True, check=False, timeout=600
        )
