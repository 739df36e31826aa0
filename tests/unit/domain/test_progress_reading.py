"""When the bucket is asked for a run's progress."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from mlops_operator.api.wire import ProgressReport
from mlops_operator.domain.effects import Effect, Failed, Outcome, ProgressRead, ReadProgress
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.plan import Plan
from mlops_operator.domain.run_plan import plan_run
from tests.unit.domain.world import SPEC, START, Fate, World

TRAINS = START + timedelta(seconds=1)


def _training(fate: Fate | None = None, **spec: Any) -> World:
    """Give a world whose training runs, and from which no report arrives."""
    world = World(Random(1), fate or Fate(), SPEC | spec)
    for _ in range(30):
        world.kubelet()
        world.deliver()
        world.reconcile()
        while world.memory.effects:
            world.do_effect()
        world.now += timedelta(seconds=1)
        if world.stage == "training":
            world.deliver()
            world.reconcile()
            return world
    raise AssertionError(world.stage)


def _reads(plan: Plan) -> list[Effect]:
    return [effect for effect in plan.effects if isinstance(effect, ReadProgress)]


def _plan(world: World, observed: ObservedRun, now: datetime) -> Plan:
    return plan_run(observed, world.settings, now)


def _since(observed: ObservedRun) -> datetime:
    train = observed.pods[0].container("train")
    assert train is not None
    assert train.running_since is not None
    return train.running_since


def test_nothing_is_read_of_a_training_that_was_heard() -> None:
    world = _training()
    observed = world.observed()
    since = _since(observed)
    assert not _reads(_plan(world, observed, since + timedelta(seconds=59)))
    assert _reads(_plan(world, observed, since + timedelta(seconds=60)))
    heard = replace(observed, heard_at=since + timedelta(seconds=50))
    plan = _plan(world, heard, since + timedelta(seconds=60))
    assert not _reads(plan)
    assert plan.requeue_after_seconds is not None
    assert plan.requeue_after_seconds <= 50


@pytest.mark.parametrize(("silent", "interval"), [(60, 30), (240, 120), (86400, 300)])
def test_a_long_silence_is_looked_at_seldom(silent: int, interval: int) -> None:
    world = _training()
    observed = world.observed()
    now = _since(observed) + timedelta(seconds=silent)
    (effect,) = _reads(_plan(world, observed, now))

    def again(outcome: Outcome, after: float) -> bool:
        known = replace(observed, outcomes={**observed.outcomes, effect: outcome})
        return bool(_reads(_plan(world, known, now + timedelta(seconds=after))))

    nothing = ProgressRead(now - timedelta(seconds=interval), None)
    assert again(nothing, 1), "the silence is over half as long again"
    assert not again(replace(nothing, at=now), interval - 1)
    assert not again(Failed(now, "StorageUnavailable", "", transient=True), 29)
    assert again(Failed(now, "StorageUnavailable", "", transient=True), 30)


def test_what_was_left_in_the_bucket_is_told_and_followed_closely() -> None:
    world = _training()
    observed = world.observed()
    now = _since(observed) + timedelta(hours=1)
    (effect,) = _reads(_plan(world, observed, now))
    report = world._report()
    assert report is not None
    left = report.model_copy(update={"sequence": 7, "step": 5})
    known = replace(observed, outcomes={**observed.outcomes, effect: ProgressRead(now, left)})
    plan = _plan(world, known, now)
    assert plan.status is not None
    assert (plan.status["phase"], plan.status["progress"]["step"]) == ("Running", 5)
    assert plan.requeue_after_seconds == 30
    assert _reads(_plan(world, known, now + timedelta(seconds=30)))

    def step(pushed: ProgressReport) -> int:
        status = _plan(world, replace(known, progress=pushed), now).status
        assert status is not None
        return int(status["progress"]["step"])

    assert step(report.model_copy(update={"sequence": 6, "step": 4})) == 5
    assert step(report.model_copy(update={"sequence": 8, "step": 6})) == 6


def test_the_end_is_told_with_the_agents_last_word() -> None:
    world = _training(Fate(exit_code=3))
    while world.stage != "ended":
        world.kubelet()
    world.deliver()
    for _ in range(5):
        plan = world.reconcile()
        if _reads(plan):
            break
        while world.memory.effects:
            world.do_effect()
    (effect,) = _reads(plan)
    assert world.status.completion_time is None, "it waits for the read"
    world.stage = "acknowledged"
    last = world._report()
    world.memory.effects.clear()
    world.memory.outcomes[effect] = ProgressRead(world.now, last)
    world.reconcile()
    assert world.status.phase == "Failed"
    assert world.status.failure is not None
    assert world.status.failure.log_tail == "the log\n"


@pytest.mark.parametrize(("spec", "reads"), [({}, 0), ({"tracking": {"mlflow": {"uri": "http://m"}}}, 1)])
def test_what_became_of_the_forwarding_is_read_though_all_is_well(spec: dict[str, Any], reads: int) -> None:
    world = _training(**spec)
    while world.stage != "ended":
        world.kubelet()
    world.deliver()
    seen: list[Effect] = []
    for _ in range(5):
        seen += _reads(world.reconcile())
        while world.memory.effects:
            world.do_effect()
        world.now += timedelta(seconds=1)
    assert world.status.phase == "Succeeded"
    assert len(seen) == reads
