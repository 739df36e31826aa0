"""The same interface for kind, where a Docker engine runs: its own programs do the work."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.places import Places

NAME = "mlops"


def usable() -> bool:
    """Tell whether a Docker engine answers and the `kind` program is there."""
    if not (shutil.which("docker") and shutil.which("kind")):
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def _kind(*arguments: str) -> str:
    if not shutil.which("kind"):
        raise ClusterError("kind is missing: install kind and start Docker, or set CLUSTER=local.")
    done = subprocess.run(["kind", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`kind {' '.join(arguments)}` failed: {done.stderr.strip()[-1500:]}")
    return done.stdout


def up(places: Places) -> None:
    """Create the kind cluster unless it is there, and write its kubeconfig."""
    places.state.mkdir(parents=True, exist_ok=True)
    if NAME in _kind("get", "clusters").split():
        _kind("export", "kubeconfig", "--name", NAME, "--kubeconfig", str(places.kubeconfig))
    else:
        kubeconfig = str(places.kubeconfig)
        _kind("create", "cluster", "--name", NAME, "--kubeconfig", kubeconfig, "--wait", "120s")


def down(places: Places) -> None:
    """Delete the kind cluster."""
    _kind("delete", "cluster", "--name", NAME, "--kubeconfig", str(places.kubeconfig))
    places.kubeconfig.unlink(missing_ok=True)


def load(archives: Iterable[Path]) -> None:
    """Load image archives into the kind cluster's node."""
    for archive in archives:
        _kind("load", "image-archive", str(archive), "--name", NAME)
