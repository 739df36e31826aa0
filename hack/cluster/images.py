"""Images for the cluster's containerd; nothing is pulled."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.places import Places

LOCAL = "localhost/"
# A kubelet reads the short name `python-ml:1` as this one.
SHORT = "docker.io/library/"


def _ctr(places: Places, *arguments: str) -> str:
    command = ["ctr", "--address", str(places.containerd_socket), "--namespace", "k8s.io", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-800:]}")
    return done.stdout


def aliases(names: Iterable[str]) -> dict[str, str]:
    """Give the second name by which manifests may call an image, for those that have one.

    buildah calls an image `localhost/python-ml:1` where a manifest says `python-ml:1`.
    """
    return {
        name: SHORT + name.removeprefix(LOCAL)
        for name in names
        if name.startswith(LOCAL) and "/" not in name.removeprefix(LOCAL)
    }


def names(places: Places) -> list[str]:
    """Give the names of the loaded images, digests left out."""
    return [
        line for line in _ctr(places, "images", "list", "--quiet").split() if not line.startswith("sha256:")
    ]


def load(places: Places, archives: Iterable[Path]) -> list[str]:
    """Load OCI or Docker archives and give the names that they brought.

    Raises
    ------
    ClusterError
        If an archive does not exist, is none, or containerd does not answer.
    """
    brought: list[str] = []
    for archive in archives:
        if not archive.is_file():
            raise ClusterError(f"There is no image archive {archive}.")
        said = _ctr(places, "images", "import", str(archive))
        # "unpacking NAME (sha256:…)...done"
        brought += [line.split()[1] for line in said.splitlines() if line.startswith("unpacking ")]
    for name, alias in aliases(brought).items():
        _ctr(places, "images", "tag", "--force", name, alias)
    return brought
