"""A run is suspended and resumed at any moment."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

from mlops_operator.domain.conditions import find
from tests.unit.domain.world import Fate, World


def until(world: World, stage: str) -> World:
    """Let the run go on until its pod is at a stage."""
    for _ in range(40):
        if world.stage == stage:
            return world
        turn(world)
        world.kubelet()
    raise AssertionError(world.stage)


def turn(world: World, times: int = 1) -> None:
    for _ in range(times):
        world.deliver()
        world.report()
        world.reconcile()
        while world.memory.effects:
            world.do_effect()
        world.now += timedelta(seconds=1)


def suspend(world: World, value: bool = True) -> World:
    world._set_suspend(value)
    turn(world, 3)
    return world


def phase(world: World) -> str | None:
    return world.status.phase


def condition(world: World, kind: str) -> tuple[str, str] | None:
    found = find(world.status.conditions, kind)
    return (found.status, found.reason) if found is not None else None


def run(**fate: Any) -> World:
    return World(Random(1), Fate(**fate))


def test_before_the_start_there_is_no_job() -> None:
    world = suspend(run())
    assert (phase(world), world.job_creates) == ("Suspended", 0)
    assert condition(world, "Suspended") == ("True", "Suspended")
    assert condition(world, "Ready") == ("False", "Suspended")
    assert condition(world, "Reconciling") is None
    assert condition(world, "Stalled") is None
    world.now += timedelta(seconds=100)
    world.settle()
    assert (phase(world), world.highest) == ("Succeeded", 1)
    assert condition(world, "Suspended") == ("False", "Resumed")
    assert 100 <= (world.status.suspended_seconds or 0) < 110


def test_a_training_is_ended_and_another_attempt_follows() -> None:
    world = suspend(until(run(), "training"))
    assert not world.jobs
    assert world.status.reason == "Suspending"
    assert world.status.attempts[0].end_time is None, "its pod still uploads"
    world.kubelet()
    turn(world, 2)
    assert phase(world) == "Suspended"
    turn(world, 20)
    assert world.job_creates == 1, "it stays so"
    world.settle()
    assert phase(world) == "Succeeded"
    first, second = world.status.attempts
    assert (first.cause, first.counted, second.cause) == ("Suspended", False, "Succeeded")


def test_resumed_while_its_pod_still_ends() -> None:
    world = suspend(suspend(until(run(), "training")), False)
    assert world.job_creates == 1
    world.settle()
    assert [a.cause for a in world.status.attempts] == ["Suspended", "Succeeded"]


def test_a_training_that_has_ended_is_stored_all_the_same() -> None:
    world = suspend(until(run(), "trained"))
    assert world.jobs, "its Job is left alone"
    for _ in range(10):
        world.kubelet()
        turn(world)
    assert phase(world) == "Succeeded"
    assert world.trainings == 1


def test_cancelled_while_suspended() -> None:
    world = suspend(until(run(cancel=True), "training"))
    world.kubelet()
    turn(world, 2)
    assert phase(world) == "Suspended"
    world.user_acts()
    turn(world, 2)
    assert phase(world) == "Cancelled"
    assert [a.cause for a in world.status.attempts] == ["Suspended"]
