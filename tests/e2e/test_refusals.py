"""A wrong manifest is refused by ``kubectl apply`` with a message that names the field; a good one is not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from tests.manifests import CHANGED, FULL, MINIMAL, REFUSED, Changed, Object, manifest

Kubectl = Callable[..., subprocess.CompletedProcess[str]]


def apply(kubectl: Kubectl, namespace: str, obj: Object) -> subprocess.CompletedProcess[str]:
    return kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(obj))


def tells(answer: subprocess.CompletedProcess[str], says: str | None) -> bool:
    """Whether it was accepted, or refused in words that name the field."""
    if says is None:
        return answer.returncode == 0
    return answer.returncode != 0 and says in answer.stderr


def report(case: str, says: str | None, answer: subprocess.CompletedProcess[str]) -> str:
    return (
        f"{case}: expected {says or 'to be accepted'}, got {answer.returncode} {answer.stdout}{answer.stderr}"
    )


@pytest.mark.parametrize("kind", FULL)
def test_good_manifests_are_accepted(kind: str, kubectl: Kubectl, namespace: str) -> None:
    for name, specs in (("minimal", MINIMAL), ("full", FULL)):
        answer = apply(kubectl, namespace, manifest(kind, specs[kind], name))
        assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("kind", FULL)
def test_bad_manifests_are_refused(kind: str, kubectl: Kubectl, namespace: str) -> None:
    wrong = []
    for case in REFUSED:
        if case.kind == kind:
            answer = apply(kubectl, namespace, manifest(kind, case.spec, case.name))
            if not tells(answer, case.says):
                wrong.append(report(case.id, case.says, answer))
    assert wrong == []


def verdict(kubectl: Kubectl, namespace: str, change: Changed, name: str) -> str | None:
    """Apply what was, then what is to be; what went wrong, if anything did."""
    before = apply(kubectl, namespace, manifest(change.kind, change.before, name))
    if before.returncode != 0:
        return report(f"{change.id} (before)", None, before)
    after = apply(kubectl, namespace, manifest(change.kind, change.after, name))
    return None if tells(after, change.says) else report(change.id, change.says, after)


@pytest.mark.parametrize("kind", FULL)
def test_a_record_does_not_change(kind: str, kubectl: Kubectl, namespace: str) -> None:
    changes = [change for change in CHANGED if change.kind == kind]
    verdicts = [verdict(kubectl, namespace, change, f"change-{i}") for i, change in enumerate(changes)]
    assert [wrong for wrong in verdicts if wrong] == []


def test_the_refusal_of_a_change_says_what_to_do(kubectl: Kubectl, namespace: str) -> None:
    apply(kubectl, namespace, manifest("TrainingRun", MINIMAL["TrainingRun"], "wine"))
    answer = apply(
        kubectl, namespace, manifest("TrainingRun", MINIMAL["TrainingRun"] | {"image": "other"}, "wine")
    )
    assert "spec.image" in answer.stderr
    assert "a run is a record. Apply it under a new name." in answer.stderr


def test_explain_reads_like_documentation(kubectl: Kubectl) -> None:
    answer = kubectl("explain", "trun.spec.metrics")
    assert answer.returncode == 0
    assert "Where live metrics come from" in answer.stdout
    assert "MLOPS_METRICS_FILE" in answer.stdout
