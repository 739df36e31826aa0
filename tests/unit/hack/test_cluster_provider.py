"""The choice of the cluster."""

from pathlib import Path

import pytest

from hack.cluster import provider
from hack.cluster.errors import ClusterError
from hack.cluster.places import Places
from hack.cluster.provider import Provider

PLACES = Places(Path("/srv/clone"))


@pytest.mark.parametrize(
    ("environment", "kind_usable", "chosen"),
    [
        ({}, False, Provider.LOCAL),
        ({}, True, Provider.KIND),
        ({"CLUSTER": ""}, True, Provider.KIND),
        ({"CLUSTER": "local"}, True, Provider.LOCAL),
        ({"CLUSTER": "kind"}, False, Provider.KIND),
        ({"CLUSTER": "current"}, False, Provider.CURRENT),
    ],
)
def test_the_first_that_fits(environment: dict[str, str], kind_usable: bool, chosen: Provider) -> None:
    assert provider.choose(environment, lambda: kind_usable) is chosen


def test_an_unknown_one_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ClusterError, match="CLUSTER=minikube is unknown: use one of local, kind, current"):
        provider.choose({"CLUSTER": "minikube"}, lambda: False)


def test_the_users_own_is_reached_by_the_first_kubeconfig(tmp_path: Path) -> None:
    own = tmp_path / "config"
    own.write_text("{}")
    environment = {"KUBECONFIG": f"{own}:/elsewhere"}
    assert provider.kubeconfig(Provider.CURRENT, PLACES, environment) == own
    assert provider.kubeconfig(Provider.LOCAL, PLACES, environment) == PLACES.kubeconfig
    own.unlink()
    with pytest.raises(ClusterError, match="set KUBECONFIG"):
        provider.kubeconfig(Provider.CURRENT, PLACES, environment)


def test_images_are_not_loaded_into_the_users_own() -> None:
    with pytest.raises(ClusterError, match="REGISTRY"):
        provider.load(Provider.CURRENT, PLACES, [])
