"""Whatever is late, lost, doubled or killed: a run ends right, by one Job, one training and one version."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_operator.api.trainingrun import ENDED
from tests.unit.domain.world import SPEC, UID, Fate, Object, World


def seeded(seed: int) -> Random:
    return Random(seed)


FATES = st.builds(
    Fate,
    exit_code=st.sampled_from((0, 0, 0, 1)),
    produces_model=st.sampled_from((True, True, True, False)),
    cancel=st.sampled_from((False, False, True)),
    disruptions=st.integers(0, 3),
    suspends=st.integers(0, 2),
    stagings_fail=st.integers(0, 4),
    storage_fails=st.integers(0, 3),
)
RETRIES = st.fixed_dictionaries(
    {
        "limit": st.integers(0, 2),
        "backoffSeconds": st.sampled_from((1, 10)),
        "sides": st.sampled_from((["Platform"], ["Platform", "User"], [])),
    }
)


def check(world: World) -> None:
    """Hold the end to what must be true of it."""
    status = world.status
    assert status.phase in ENDED
    limit = (world.run["spec"].get("retry") or {}).get("limit", 2)
    bound = 1 + limit + world.disruptions + world.suspends
    assert world.highest <= bound, "as many attempts as there were reasons for"
    assert world.job_creates <= bound + world.disruptions, (
        "one Job for each; another where one was deleted unseen"
    )
    assert world.trainings <= world.job_creates
    assert (status.phase == "Succeeded") == (world.manifest is not None), "the manifest decides"
    assert all(attempt.end_time is not None and attempt.cause for attempt in status.attempts)
    assert all(attempt.counted is not None for attempt in status.attempts[:-1])
    assert sum(bool(attempt.counted) for attempt in status.attempts) <= 1 + limit
    assert not world.jobs, "its Job is cleaned away"
    assert status.completion_time is not None
    assert status.recorded is not None
    assert world.history["status"]["phase"] == status.phase
    assert world.history["status"].get("model", {}).get("name") == (
        status.model.name if status.model else None
    )
    if status.phase == "Succeeded":
        assert status.model is not None
        assert status.model.name == "wine.1"
        assert list(world.versions) == ["wine.1"]
        assert world.claims == {"1": UID}, "one number"
    else:
        assert not world.versions
        assert (status.failure is None) == (status.phase == "Cancelled")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False), FATES, RETRIES, st.integers(0, 90))
def test_every_history_ends_right(random: Random, fate: Fate, retry: Object, steps: int) -> None:
    world = World(random, fate, {**SPEC, "retry": retry})
    for _ in range(steps):
        world.disturb()
    world.settle()
    check(world)


@pytest.mark.parametrize("calls", range(8))
def test_killed_at_every_call(calls: int) -> None:
    """The operator is killed at its n-th call of each reconcile in turn, all along a run."""
    world = World(seeded(0), Fate())
    for turn in range(60):
        world.kubelet()
        world.deliver()
        world.report()
        if turn % 4 == calls % 4:
            world.random = seeded(calls * 100 + turn)
            world.killed()
        else:
            world.reconcile()
            world.do_effect()
    world.settle()
    check(world)
    assert world.status.phase == "Succeeded"


def test_an_uneventful_run_costs_one_create_and_six_writes() -> None:
    world = World(seeded(0), Fate())
    for _ in range(40):
        world.deliver()
        world.report()
        world.reconcile()
        while world.memory.effects:
            world.do_effect()
            world.reconcile()
        world.kubelet()
    assert world.status.phase == "Succeeded"
    assert world.job_creates == 1
    phases = [write["phase"] for write in world.writes]
    assert len(world.writes) - world.live_writes <= 6, phases
    assert world.status.model is not None
    assert world.status.model.name == "wine.1"


def test_a_model_that_a_user_deleted_is_not_made_again() -> None:
    world = World(seeded(0), Fate())
    world.settle()
    assert list(world.versions) == ["wine.1"]
    world.versions.clear()
    world.settle(5)
    assert not world.versions
