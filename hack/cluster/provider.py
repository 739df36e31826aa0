"""Which cluster is used: the user's own, kind, or the local one."""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path

from hack.cluster import images, kind
from hack.cluster.errors import ClusterError
from hack.cluster.places import Places


class Provider(StrEnum):
    """The kinds of cluster that the demo and the e2e suite run on."""

    LOCAL = "local"
    KIND = "kind"
    CURRENT = "current"


def choose(environment: Mapping[str, str], kind_usable: Callable[[], bool] = kind.usable) -> Provider:
    """Give the cluster to use: what `CLUSTER` says, else kind where it can run, else the local one.

    Parameters
    ----------
    environment
        The environment variables.
    kind_usable
        Tells whether Docker and kind are there; asked only if `CLUSTER` is not set.

    Raises
    ------
    ClusterError
        If `CLUSTER` is none of the three.
    """
    asked = environment.get("CLUSTER", "")
    if asked:
        if asked not in {provider.value for provider in Provider}:
            raise ClusterError(f"CLUSTER={asked} is unknown: use one of {', '.join(Provider)}.")
        return Provider(asked)
    return Provider.KIND if kind_usable() else Provider.LOCAL


def kubeconfig(provider: Provider, places: Places, environment: Mapping[str, str]) -> Path:
    """Give the kubeconfig by which a cluster is reached.

    Raises
    ------
    ClusterError
        If the user's own is asked for and there is none.
    """
    if provider is not Provider.CURRENT:
        return places.kubeconfig
    # Like kubectl, except that of several files only the first is used.
    path = Path(environment.get("KUBECONFIG", "").split(":")[0] or Path.home() / ".kube" / "config")
    if not path.is_file():
        raise ClusterError(f"CLUSTER=current needs a kubeconfig, and {path} does not exist: set KUBECONFIG.")
    return path


def load(provider: Provider, places: Places, archives: Iterable[Path]) -> None:
    """Load image archives into a cluster.

    Raises
    ------
    ClusterError
        If it is the user's own, which takes images only from a registry.
    """
    if provider is Provider.LOCAL:
        images.load(places, archives)
    elif provider is Provider.KIND:
        kind.load(archives)
    else:
        raise ClusterError("CLUSTER=current takes images from a registry: set REGISTRY and push them.")
