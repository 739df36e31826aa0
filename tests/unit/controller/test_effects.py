"""The pool of outside work, and the memory of its outcomes."""

# ruff: noqa: ASYNC110 - the loop itself is what is waited for

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from mlops_operator import errors
from mlops_operator.controller.effects import EffectPool, NotPermitted, failed_outcome
from mlops_operator.controller.keys import Key
from mlops_operator.controller.outcomes import IDLE_SECONDS, Outcomes
from mlops_operator.domain.effects import CheckWorkspace, Effect, Failed, Outcome, VersionClaimed

NOW = datetime(2026, 11, 21, tzinfo=UTC)
A, B = Key("TrainingRun", "ws", "a"), Key("TrainingRun", "ws", "b")
CHECK = CheckWorkspace("ws")


class Runner:
    def __init__(self) -> None:
        self.started: list[Effect] = []
        self.release = asyncio.Event()
        self.error: Exception | None = None

    async def run(self, effect: Effect) -> Outcome:
        self.started.append(effect)
        await self.release.wait()
        if self.error is not None:
            raise self.error
        return VersionClaimed(NOW, "1")


class Harness:
    def __init__(self) -> None:
        self.runner = Runner()
        self.outcomes = Outcomes()
        self.woken: list[Key] = []
        self.slept: list[float] = []
        self.pool = EffectPool(
            self.runner, self.outcomes, wake=self.woken.append, now=lambda: NOW, sleep=self.sleep
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def settle(self) -> None:
        self.runner.release.set()
        while self.pool.running():
            await asyncio.sleep(0)


async def test_equal_effects_run_once_and_wake_all_who_asked() -> None:
    harness = Harness()
    harness.pool.request(A, [CHECK])
    harness.pool.request(B, [CheckWorkspace("ws")])
    await asyncio.sleep(0)
    await harness.settle()
    assert harness.runner.started == [CHECK]
    assert sorted(harness.woken) == [A, B]
    assert isinstance(harness.outcomes[CHECK], VersionClaimed)


async def test_failures_in_a_row_are_counted_and_slow_down() -> None:
    harness = Harness()
    harness.runner.error = errors.StorageUnavailable("no answer")
    for _ in range(3):
        harness.pool.request(A, [CHECK])
        await harness.settle()
    failed = harness.outcomes[CHECK]
    assert isinstance(failed, Failed)
    assert (failed.cause, failed.failures, failed.transient) == ("StorageUnavailable", 3, True)
    assert harness.slept == [1.0, 2.0]
    harness.runner.error = None
    harness.pool.request(A, [CHECK])
    await harness.settle()
    assert harness.outcomes.failures(CHECK) == 0


async def test_a_defect_is_an_outcome_too() -> None:
    harness = Harness()
    harness.runner.error = ZeroDivisionError("oh")
    harness.pool.request(A, [CHECK])
    await harness.settle()
    failed = harness.outcomes[CHECK]
    assert isinstance(failed, Failed)
    assert (failed.cause, failed.message) == ("InternalError", "ZeroDivisionError: oh")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (NotPermitted("x"), "NotPermitted"),
        (errors.CredentialsError("x"), "SecretMissing"),
        (errors.StorageDenied("x"), "StorageDenied"),
        (errors.StorageFull("x"), "StorageFull"),
        (errors.DatasetChanged("x"), "DatasetChanged"),
        (errors.MlopsError("x"), "InternalError"),
    ],
)
def test_errors_have_the_words_of_the_status(error: errors.MlopsError, cause: str) -> None:
    assert failed_outcome(error, NOW, 1).cause == cause


def test_an_outcome_that_nobody_needs_is_forgotten_after_a_while() -> None:
    now = 0.0
    outcomes = Outcomes(lambda: now)
    outcomes.need(A, CHECK)
    outcomes.need(B, CHECK)
    assert outcomes.put(CHECK, VersionClaimed(NOW, "1")) == {A, B}
    outcomes.release(A)
    now = 2 * IDLE_SECONDS
    outcomes.put(CheckWorkspace("other"), VersionClaimed(NOW, "1"))
    assert CHECK in outcomes
    outcomes.release(B)
    now = 2 * IDLE_SECONDS + IDLE_SECONDS / 2
    outcomes.put(CheckWorkspace("other"), VersionClaimed(NOW, "1"))
    assert CHECK in outcomes
    now = 4 * IDLE_SECONDS
    outcomes.put(CheckWorkspace("third"), VersionClaimed(NOW, "1"))
    assert CHECK not in outcomes
