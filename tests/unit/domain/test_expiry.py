"""When the resource of a run that has ended goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_operator.api.trainingrun import TrainingRun, TrainingRunStatus
from mlops_operator.domain.effects import Failed, RecordRun, RunRecorded
from mlops_operator.domain.expiry import LONGEST_LOOK_SECONDS, seconds_left
from mlops_operator.domain.observed import JobView, ObservedRun
from mlops_operator.domain.plan import Plan
from mlops_operator.domain.run_plan import plan_run
from mlops_operator.settings import OutcomeRetention, RunRetention, Settings

END = datetime(2026, 3, 1, 12, tzinfo=UTC)
FOR_EVER = RunRetention()
DAY = 86400


def run(phase: str = "Failed", ttl: int | None = None, *, recorded: bool = True) -> TrainingRun:
    spec = {"image": "python-ml:1", "command": ["python"], "ttlSecondsAfterFinished": ttl}
    status: dict[str, Any] = {
        "phase": phase,
        "reason": phase,
        "message": "",
        "completionTime": "2026-03-01T12:00:00Z",
    }
    if recorded:
        status["recorded"] = {"generation": 1, "time": "2026-03-01T12:00:01Z"}
    metadata = {"name": "wine", "namespace": "ws-alice", "uid": "u-1", "generation": 1}
    return TrainingRun.from_object({"metadata": metadata, "spec": spec, "status": status})


def left(
    found: TrainingRun, rules: RunRetention = FOR_EVER, *, newer: int = 0, age: float = 0
) -> float | None:
    return seconds_left(found, newer, [], rules, END + timedelta(seconds=age))


def test_by_default_a_run_stays() -> None:
    assert left(run(), age=1e9) is None


@pytest.mark.parametrize(("ttl", "age", "expected"), [(0, 0, 0), (60, 10, 50), (60, 60, 0), (60, 1e6, 0)])
def test_its_own_time(ttl: int, age: float, expected: float) -> None:
    assert left(run(ttl=ttl), age=age) == expected


def test_its_own_time_goes_before_the_platforms_age() -> None:
    rules = RunRetention(failed=OutcomeRetention(max_age_seconds=DAY))
    assert left(run(), rules, age=DAY) == 0
    assert left(run(ttl=2 * DAY), rules, age=DAY) == DAY


@pytest.mark.parametrize(("newer", "expected"), [(0, None), (1, None), (2, 0.0), (9, 0.0)])
def test_the_platform_keeps_the_newest(newer: int, expected: float | None) -> None:
    rules = RunRetention(failed=OutcomeRetention(keep=2))
    assert left(run(), rules, newer=newer) == expected
    assert left(run("Succeeded"), rules, newer=newer) is None
    assert left(run(ttl=DAY), rules, newer=9) == 0, "the platform's count goes before the run's wish"


def test_each_outcome_has_a_rule_of_its_own() -> None:
    rules = RunRetention(
        succeeded=OutcomeRetention(max_age_seconds=300),
        failed=OutcomeRetention(max_age_seconds=200),
        cancelled=OutcomeRetention(max_age_seconds=100),
    )
    assert [left(run(phase), rules) for phase in ("Succeeded", "Failed", "Cancelled")] == [300, 200, 100]


def test_a_job_that_has_not_ended_may_still_bring_something() -> None:
    job = JobView("wine-1", "j", "u-1")
    assert seconds_left(run(ttl=0), 0, [job], FOR_EVER, END) == 60
    assert seconds_left(run(ttl=0), 0, [job], FOR_EVER, END + timedelta(seconds=60)) == 0
    ended = JobView("wine-1", "j", "u-1", complete=True, finished_at=END)
    assert seconds_left(run(ttl=0), 0, [ended], FOR_EVER, END) == 0


def plan(found: TrainingRun, outcomes: object = None, at: datetime = END) -> Plan:
    return plan_run(ObservedRun(run=found, outcomes=outcomes or {}), Settings(), at)  # type: ignore[arg-type]


def at_rest(found: TrainingRun) -> TrainingRun:
    """Give the run with everything written that is to be."""
    written = plan(found).status
    assert written is not None
    return found.model_copy(update={"status": TrainingRunStatus.model_validate(written)})


def test_nothing_is_deleted_before_the_history_has_it() -> None:
    unrecorded = run(ttl=0, recorded=False)
    first = plan(unrecorded)
    (effect,) = first.effects
    assert isinstance(effect, RecordRun)
    assert not first.delete_self
    failed = Failed(END, "StorageUnavailable", "away", transient=True)
    assert not plan(unrecorded, {effect: failed}).delete_self
    marked = plan(unrecorded, {effect: RunRecorded(END, "key")})
    assert marked.status is not None
    assert marked.status["recorded"]["generation"] == 1
    assert not marked.delete_self, "the status that says so is written first"
    assert plan(run(ttl=0)).status is not None, "conditions that are not there yet"
    assert plan(at_rest(run(ttl=0))).delete_self


def test_a_change_is_recorded_before_the_resource_goes() -> None:
    changed = at_rest(run(ttl=0))
    changed = changed.model_copy(update={"metadata": changed.metadata.model_copy(update={"generation": 2})})
    assert not plan(changed).delete_self


def test_a_time_far_away_is_looked_at_now_and_then() -> None:
    assert plan(run(ttl=365 * DAY)).requeue_after_seconds == LONGEST_LOOK_SECONDS
    assert plan(run(ttl=60)).requeue_after_seconds == 60
