"""Why a pod does not get on, told from what the kubelet shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mlops_operator.domain.observed import ContainerView, PodView
from mlops_operator.domain.waiting import for_pod

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TRAINS = ContainerView("train", running_since=NOW)


def pod(agent: ContainerView, train: ContainerView = TRAINS, **more: Any) -> PodView:
    return PodView(
        **{"name": "p", "uid": "u", "phase": "Running", "job": "j"} | more, init=(agent,), containers=(train,)
    )


def agent(**more: Any) -> ContainerView:
    return ContainerView("agent", **more)


@pytest.mark.parametrize(
    "found",
    [
        pod(agent(restart_count=1, exit_code=137, terminated_reason="Error")),
        pod(agent(restart_count=3, waiting_reason="CrashLoopBackOff")),
    ],
)
def test_a_sidecar_that_ends_again_and_again(found: PodView) -> None:
    waiting = for_pod(found, "ws", NOW)
    assert waiting is not None
    assert waiting.reason == "ContainerCrashes"
    assert "kubectl -n ws logs p -c agent --previous" in waiting.message


@pytest.mark.parametrize(
    "found",
    [
        pod(agent(running_since=NOW, restart_count=4)),
        pod(agent(exit_code=137)),
        pod(agent(restart_count=1, exit_code=0)),
        pod(agent(restart_count=1, exit_code=1), ContainerView("train", exit_code=1)),
        pod(agent(restart_count=1, exit_code=137), deleting=True),
    ],
    ids=["is back", "ended once", "ended well", "beside a command that has ended", "in a pod that goes"],
)
def test_a_sidecar_that_is_no_reason_to_wait(found: PodView) -> None:
    assert for_pod(found, "ws", NOW) is None
