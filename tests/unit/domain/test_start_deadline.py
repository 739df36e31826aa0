"""How long a run may wait for its start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.domain.start_deadline import has_passed, message, seconds_left

NOW = datetime(2026, 3, 1, 12, 1, 0, tzinfo=UTC)


def run(status: dict[str, Any] | None = None, **spec: Any) -> TrainingRun:
    created = (NOW - timedelta(seconds=60)).isoformat()
    metadata = {"name": "wine", "namespace": "ws-a", "uid": "u", "creationTimestamp": created}
    spec = {"image": "x", "command": ["y"], "startDeadlineSeconds": 90, **spec}
    return TrainingRun.from_object({"metadata": metadata, "spec": spec, "status": status or {}})


def test_it_counts_from_the_creation() -> None:
    assert seconds_left(run(), NOW) == 30
    assert not has_passed(run(), NOW)
    assert has_passed(run(), NOW + timedelta(seconds=30))


def test_the_time_suspended_does_not_count() -> None:
    assert seconds_left(run({"suspendedSeconds": 50}), NOW) == 80
    assert seconds_left(run(suspend=True), NOW + timedelta(hours=1)) is None


def test_what_has_started_has_no_such_deadline() -> None:
    assert seconds_left(run({"startTime": "2026-03-01T12:00:30Z"}), NOW + timedelta(hours=1)) is None


def test_what_asks_for_none_has_none() -> None:
    assert seconds_left(run(startDeadlineSeconds=None), NOW + timedelta(days=9)) is None


def test_the_message_says_what_it_waited_for() -> None:
    said = message(run({"reason": "Unschedulable", "message": "No node takes the pod."}))
    assert "90 s" in said
    assert "Unschedulable: No node takes the pod." in said
