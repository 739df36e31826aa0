"""Bring built images to where the cluster finds them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hack.cluster import kind, provider
from hack.cluster.places import HERE, Places
from hack.cluster.provider import Provider
from hack.images import docker
from hack.images.build import archive_of
from hack.images.catalogue import Keyed, cache
from hack.images.command import run
from hack.images.errors import ImageError
from hack.images.progress import step


class Destination(Protocol):
    """Where the cluster takes its images from."""

    def has(self, image: Keyed) -> bool:
        """Tell whether this very content is there."""

    def put(self, image: Keyed, archive: Path) -> None:
        """Bring an archive there."""

    def reference(self, image: Keyed) -> str:
        """Give the name under which pods name the image."""


@dataclass(frozen=True)
class Node:
    """The image store of the cluster's node.

    Attributes
    ----------
    provider
        The local cluster or kind.
    ctr
        The words that start ctr against the node's containerd.
    """

    provider: Provider
    places: Places
    ctr: tuple[str, ...]

    def has(self, image: Keyed) -> bool:
        """Look for the name that only this content carries."""
        listing = run([*self.ctr, "images", "list", "--quiet", f"name=={image.keyed_reference}"])
        return image.keyed_reference in listing.split()

    def put(self, image: Keyed, archive: Path) -> None:
        """Import under the reference that pods use, then under the key."""
        provider.load(self.provider, self.places, [archive])
        if image.reference != image.keyed_reference:
            run([*self.ctr, "images", "tag", "--force", image.reference, image.keyed_reference])

    def reference(self, image: Keyed) -> str:
        """Give the local name: the node has the image."""
        return image.reference


@dataclass(frozen=True)
class Registry:
    """A registry that somebody else's cluster can pull from."""

    prefix: str

    def has(self, image: Keyed) -> bool:
        """Push always: layers that are there are not sent again."""
        del image
        return False

    def put(self, image: Keyed, archive: Path) -> None:
        """Push with the logins of the user."""
        destination = self.reference(image)
        if docker.runs():
            run(["docker", "load", "--input", archive])
            run(["docker", "tag", image.reference, destination])
            run(["docker", "push", "--quiet", destination])
            return
        store = cache() / "store"
        buildah = [
            "buildah",
            "--root",
            str(store),
            "--runroot",
            str(store / "run"),
            "--storage-driver",
            "overlay",
        ]
        run([*buildah, "pull", "--quiet", f"docker-archive:{archive}"])
        run([*buildah, "push", "--quiet", image.reference, f"docker://{destination}"])

    def reference(self, image: Keyed) -> str:
        """Give the name in the registry; always by key, as a cluster may keep what a fixed tag once meant."""
        return f"{self.prefix.rstrip('/')}/{image.image.short_name}:{image.key}"


def destination(places: Places = HERE) -> Destination:
    """Give where the images go, by CLUSTER (local, kind, current) and REGISTRY.

    Raises
    ------
    ImageError
        If CLUSTER=current comes without REGISTRY, or the local cluster is not up.
    """
    chosen = provider.choose(os.environ)
    if chosen is Provider.CURRENT:
        if registry := os.environ.get("REGISTRY"):
            return Registry(registry)
        raise ImageError(
            "CLUSTER=current needs REGISTRY=host/path: a registry that you can push to and the cluster can pull from."
        )
    if chosen is Provider.KIND:
        node = f"{kind.NAME}-control-plane"
        return Node(chosen, places, ("docker", "exec", node, "ctr", "--namespace", "k8s.io"))
    if not places.containerd_socket.exists():
        raise ImageError("The local cluster is not up: start it with `make cluster`.")
    socket = str(places.containerd_socket)
    return Node(chosen, places, ("ctr", "--address", socket, "--namespace", "k8s.io"))


def load(images: Iterable[Keyed], places: Places = HERE) -> dict[str, str]:
    """Bring to the cluster what it does not have; give name → reference for every image.

    Raises
    ------
    ImageError
        If an image is not built or cannot be brought there.
    """
    there = destination(places)
    references = {}
    for image in images:
        archive = archive_of(image)
        if not archive.exists():
            raise ImageError(f"{image.reference} is not built: run `python -m hack.images build`.")
        if not there.has(image):
            with step(f"load {there.reference(image)}"):
                there.put(image, archive)
        references[image.image.name] = there.reference(image)
    return references
