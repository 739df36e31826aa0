"""Who this process is: its namespace, and its name in the election."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

from mlops_operator.controller.kube import PODS, Kube
from mlops_operator.controller.lease import Identity

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT_NAMESPACE = "mlops-system"


def own_namespace() -> str:
    """Give the namespace of this pod, or the usual one outside of a cluster."""
    named = os.environ.get("POD_NAMESPACE")
    if named:
        return named
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else DEFAULT_NAMESPACE


async def own_identity(kube: Kube, namespace: str, *, in_cluster: bool) -> Identity:
    """Give the identity: pod name and uid, so that a container started again in its pod is the same.

    Raises
    ------
    KubeError
        The pod cannot be read.
    """
    if not in_cluster:
        return Identity(f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}")
    name = os.environ.get("POD_NAME") or socket.gethostname()
    pod = await kube.get(PODS, namespace, name)
    return Identity(name, pod["metadata"]["uid"])
