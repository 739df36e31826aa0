"""What every attempt of a run shares, and what is kept of the earlier ones."""

from __future__ import annotations

import json
from datetime import timedelta
from random import Random
from typing import Any

from tests.unit.domain.world import SPEC, Fate, World

COMMIT = "0123456789abcdef0123456789abcdef01234567"
GIT = {"git": {"url": "https://git.example.org/alice/wine.git", "ref": "main"}}


def started(status: dict[str, Any], **spec: Any) -> tuple[World, dict[str, Any]]:
    """Let a run with this status start its next attempt; gives the world and stage-in's order."""
    world = World(Random(1), Fate(), {**SPEC, **spec})
    world.run["status"] = status
    world.deliver()
    for _ in range(6):
        plan = world.plan()
        if plan.create_job is not None:
            containers = plan.create_job["spec"]["template"]["spec"]["initContainers"]
            order = next(v for v in containers[0]["env"] if v["name"] == "MLOPS_ORDER")
            world.run["status"] = plan.status
            return world, json.loads(order["value"])
        world.reconcile()
        while world.memory.effects:
            world.do_effect()
        world.now += timedelta(seconds=1)
    raise AssertionError(world.status)


def ended(number: int) -> dict[str, Any]:
    times = {"startTime": "2026-03-01T11:00:00Z", "endTime": "2026-03-01T11:10:00Z"}
    return {
        "number": number,
        "jobUID": f"job-{number}",
        "podUID": f"pod-{number}",
        "cause": "Evicted",
        **times,
    }


def test_the_commit_is_that_of_the_first_attempt() -> None:
    status = {"phase": "Pending", "attempts": [ended(1)], "resolved": {"commit": COMMIT}}
    _, order = started(status, source=GIT)
    assert order["git"]["ref"] == COMMIT
    assert order["spec"]["source"]["git"]["ref"] == "main", "the record keeps what was asked for"
    _, first = started({}, source=GIT)
    assert first["git"]["ref"] == "main"


def test_the_newest_ten_attempts_are_kept() -> None:
    attempts = [ended(number) for number in range(4, 14)]
    world, order = started({"phase": "Pending", "attempts": attempts})
    assert order["run"]["attempt"] == 14
    assert [attempt.number for attempt in world.status.attempts] == list(range(5, 15))
