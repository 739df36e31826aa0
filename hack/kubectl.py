"""kubectl against one kubeconfig; what it refuses becomes an error that shows its words."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster import provider
from hack.cluster.errors import ClusterError
from hack.cluster.places import HERE

FIELD_MANAGER = "mlops-hack"


def program() -> str:
    """Give the kubectl that the cluster's build made, else the one on the path.

    Raises
    ------
    ClusterError
        If there is none.
    """
    built = HERE.bin / "kubectl"
    if built.exists():
        return str(built)
    if found := shutil.which("kubectl"):
        return found
    raise ClusterError("There is no kubectl: build it with `python -m hack.cluster build`, or install one.")


def default_kubeconfig() -> Path:
    """Give the kubeconfig of the cluster that CLUSTER chooses; see hack.cluster.provider."""
    return provider.kubeconfig(provider.choose(os.environ), HERE, os.environ)


@dataclass(frozen=True)
class Kubectl:
    """kubectl with a kubeconfig."""

    kubeconfig: Path

    def command(self, *arguments: str) -> list[str]:
        """Give the words of a command, for somebody who starts it himself."""
        return [program(), "--kubeconfig", str(self.kubeconfig), *arguments]

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a command and give its output.

        Raises
        ------
        ClusterError
            If kubectl fails; the message carries what it said.
        """
        done = subprocess.run(
            self.command(*arguments), input=stdin, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise ClusterError(f"`kubectl {' '.join(arguments[:4])}` failed: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def apply(self, objects: Iterable[Mapping[str, Any]]) -> None:
        """Apply objects on the server's side, as one field manager."""
        listing = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.run(
            "apply",
            "--server-side",
            "--force-conflicts",
            f"--field-manager={FIELD_MANAGER}",
            "--filename=-",
            stdin=json.dumps(listing),
        )

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """Give an object, or None if there is none."""
        where = ["--namespace", namespace] if namespace else []
        text = self.run("get", kind, name, *where, "--ignore-not-found", "--output=json")
        return json.loads(text) if text.strip() else None

    def list(self, kind: str, namespace: str | None = None, selector: str = "") -> list[dict[str, Any]]:
        """Give all objects of a kind, of one namespace or without one."""
        where = ["--namespace", namespace] if namespace else []
        chosen = [f"--selector={selector}"] if selector else []
        items: list[dict[str, Any]] = json.loads(self.run("get", kind, *where, *chosen, "--output=json"))[
            "items"
        ]
        return items
