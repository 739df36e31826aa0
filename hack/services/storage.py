"""Where the services keep what must outlive their pods."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

# Volumes of the manifests that must outlive a pod; every other volume is as the manifest says.
PERSISTENT = frozenset({"s3-buckets", "s3-iam", "gitea-data"})
SIZE = "5Gi"
USER = 1000


class Storage(Protocol):
    """A way to keep a volume."""

    def volume(self, name: str) -> dict[str, Any]:
        """Give the volume's source for a pod."""

    def claims(self, name: str, namespace: str) -> list[dict[str, Any]]:
        """Give the objects that the volume needs."""


@dataclass(frozen=True)
class Folder:
    """Folders of this machine, which is the node."""

    root: Path

    def volume(self, name: str) -> dict[str, Any]:
        """Make the folder for the services' user and give it."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(folder, USER, USER)
        return {"hostPath": {"path": str(folder), "type": "Directory"}}

    def claims(self, name: str, namespace: str) -> list[dict[str, Any]]:
        """Need nothing."""
        del name, namespace
        return []


@dataclass(frozen=True)
class Claim:
    """Volumes of the cluster's default storage class."""

    def volume(self, name: str) -> dict[str, Any]:
        """Give the claim."""
        return {"persistentVolumeClaim": {"claimName": name}}

    def claims(self, name: str, namespace: str) -> list[dict[str, Any]]:
        """Give the PersistentVolumeClaim."""
        return [
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": SIZE}}},
            }
        ]


@dataclass(frozen=True)
class Ephemeral:
    """Nothing that keeps: the services start empty with each new pod."""

    def volume(self, name: str) -> dict[str, Any]:
        """Give an empty folder of the pod."""
        del name
        return {"emptyDir": {}}

    def claims(self, name: str, namespace: str) -> list[dict[str, Any]]:
        """Need nothing."""
        del name, namespace
        return []


def with_storage(manifest: Mapping[str, Any], storage: Storage) -> list[dict[str, Any]]:
    """Give a manifest with its persistent volumes put where they keep, after the objects that they need."""
    if manifest["kind"] != "Deployment":
        return [dict(manifest)]
    needed = []
    pod = manifest["spec"]["template"]["spec"]
    for number, volume in enumerate(pod["volumes"]):
        name = volume["name"]
        if name in PERSISTENT:
            pod["volumes"][number] = {"name": name, **storage.volume(name)}
            needed += storage.claims(name, manifest["metadata"]["namespace"])
    return [*needed, dict(manifest)]
