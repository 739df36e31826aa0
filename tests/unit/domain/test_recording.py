"""What goes into the history of a run, and when."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from mlops_operator.api.trainingrun import RecordedStatus, TrainingRun
from mlops_operator.domain.effects import Failed, RecordRun, RunRecorded
from mlops_operator.domain.recording import document, record

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ended(generation: int = 1, model: str | None = "wine.1", **status: object) -> TrainingRun:
    return TrainingRun.from_object(
        {
            "metadata": {
                "name": "wine",
                "namespace": "ws-alice",
                "uid": "0a1b2c3d-1",
                "generation": generation,
                "resourceVersion": "17",
                "labels": {"team": "a"},
                "creationTimestamp": "2026-03-01T11:00:00Z",
            },
            "spec": {"image": "python-ml:1", "command": ["python"], "parameters": {"epochs": 3}},
            "status": {
                "phase": "Succeeded",
                "completionTime": "2026-03-01T11:59:00Z",
                "conditions": [
                    {"type": "Ready", "status": "True", "lastTransitionTime": "2026-03-01T11:59:00Z"}
                ],
                **({"model": {"name": model}} if model else {}),
                **status,
            },
        }
    )


def test_a_run_that_has_ended_is_recorded_once() -> None:
    run = ended()
    first = record(run, run.status, {}, NOW)
    assert first.under_way
    (effect,) = first.effects
    assert isinstance(effect, RecordRun)
    then = record(run, run.status, {effect: RunRecorded(NOW, "key")}, NOW)
    assert then.recorded == RecordedStatus(generation=1, model="wine.1", time=NOW)
    marked = run.status.model_copy(update={"recorded": then.recorded})
    assert record(run, marked, {}, NOW).done


def test_what_changes_later_is_recorded_again() -> None:
    mark = {"generation": 1, "model": "wine.1", "time": "2026-03-01T12:00:00Z"}
    archived = ended(generation=2, recorded=mark)
    assert record(archived, archived.status, {}, NOW).effects
    named_later = ended(model="wine.2", recorded=mark)
    assert record(named_later, named_later.status, {}, NOW).effects
    same = ended(recorded=mark)
    assert record(same, same.status, {}, NOW).done


def test_a_bucket_that_is_away_is_asked_again_with_growing_pauses() -> None:
    run = ended()
    (effect,) = record(run, run.status, {}, NOW).effects
    failed = Failed(NOW, "StorageUnavailable", "s3 does not answer", transient=True, failures=3)
    at_once = record(run, run.status, {effect: failed}, NOW)
    assert (at_once.effects, at_once.again_seconds, at_once.under_way) == ((), 20.0, False)
    later = record(run, run.status, {effect: failed}, NOW + timedelta(seconds=20))
    assert later.effects == (effect,)


def test_the_document_is_the_object_without_what_only_the_api_server_needs() -> None:
    run = ended()
    found = document(run, run.status)
    assert found["metadata"] == {
        "name": "wine",
        "namespace": "ws-alice",
        "uid": "0a1b2c3d-1",
        "generation": 1,
        "labels": {"team": "a"},
        "creationTimestamp": "2026-03-01T11:00:00Z",
    }
    assert "conditions" not in found["status"]
    assert found["spec"] == {"image": "python-ml:1", "command": ["python"], "parameters": {"epochs": 3}}
    assert TrainingRun.from_object(json.loads(json.dumps(found))).spec == run.spec
