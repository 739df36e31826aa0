"""Our clusters as pytest-kubernetes sees them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pytest_kubernetes.options import ClusterOptions
from pytest_kubernetes.providers.base import AClusterManager

from hack.cluster import provider
from hack.cluster.places import HERE
from hack.cluster.provider import Provider


class ClusterManager(AClusterManager):  # type: ignore[misc]
    """The cluster that `hack.cluster` chooses: kind and the local one are brought up, the user's own is used."""

    def __init__(self, *_: Any, **__: Any) -> None:
        # The name and configuration that pytest-kubernetes passes are for clusters that it makes itself.
        super().__init__(cluster_name="mlops")
        self.chosen: Provider = provider.choose(os.environ)
        if self.chosen is Provider.CURRENT:
            self._cluster_options.kubeconfig_path = provider.kubeconfig(self.chosen, HERE, os.environ)
        else:
            self._cluster_options.kubeconfig_path = HERE.kubeconfig

    @classmethod
    def get_binary_name(cls) -> str:
        return "kubectl"

    def _ensure_executable(self) -> None:
        """Pass: kubectl is built when the cluster is created."""

    def _on_create(self, cluster_options: ClusterOptions, **_: Any) -> None:  # noqa: ARG002
        subprocess.run([sys.executable, "-m", "hack.cluster", "up"], check=True, cwd=HERE.clone)

    def _on_delete(self) -> None:
        if self.chosen is not Provider.CURRENT:
            subprocess.run([sys.executable, "-m", "hack.cluster", "down"], check=True, cwd=HERE.clone)

    def load_image(self, image: str) -> None:
        """Load an image archive.

        Parameters
        ----------
        image
            The path of an OCI or Docker archive.
        """
        provider.load(self.chosen, HERE, [Path(image)])
