"""An eviction for a limit of the pod's own is told from one for a node that is full."""

from __future__ import annotations

import pytest

from mlops_operator.domain.eviction import own_limit
from mlops_operator.domain.observed import PodView


def evicted(message: str | None, reason: str = "Evicted") -> PodView:
    return PodView("p", "u", "Failed", "j", reason=reason, message=message)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ('Usage of EmptyDir volume "scratch" exceeds the limit "64Mi". ', 'Usage of EmptyDir volume "scratch" exceeds the limit "64Mi".'),
        ('Usage of EmptyDir volume "user-room" exceeds the limit "1Gi". ', 'Usage of EmptyDir volume "room" exceeds the limit "1Gi".'),
        ('Container train exceeded its local ephemeral storage limit "1Gi". ', 'Container train exceeded its local ephemeral storage limit "1Gi".'),
        ("Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ", "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."),
        ("The node was low on resource: ephemeral-storage. Threshold quantity: 1, available: 0. ", None),
        (None, None),
    ],
)  # fmt: skip
def test_own_limit(message: str | None, said: str | None) -> None:
    assert own_limit(evicted(message)) == said


def test_only_of_an_eviction() -> None:
    assert own_limit(None) is None
    assert own_limit(evicted('Usage of EmptyDir volume "x" exceeds the limit "1".', "NodeLost")) is None
