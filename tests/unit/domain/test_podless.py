"""When it is asked why a Job has no pod, and what is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlops_operator.domain.effects import Effect, Failed, Outcome, PodTried, TryPod
from mlops_operator.domain.podless import LONGEST_SECONDS, look

MADE = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
TRIAL = TryPod("ws-a", "wine-1")
QUOTA = 'pods "x" is forbidden: exceeded quota: q, requested: cpu=2, used: cpu=1, limited: cpu=2'


def after(seconds: float) -> datetime:
    return MADE + timedelta(seconds=seconds)


def test_a_pod_has_time_to_appear() -> None:
    found = look("wine-1", "ws-a", MADE, {}, after(4))
    assert (found.waiting, found.effects, found.again_seconds) == (None, (), 6.0)


def test_then_it_is_asked() -> None:
    found = look("wine-1", "ws-a", MADE, {}, after(10))
    assert found.effects == (TRIAL,)
    assert found.waiting is None


@pytest.mark.parametrize(("waited", "every"), [(12, 10.0), (80, 20.0), (100_000, LONGEST_SECONDS)])
def test_it_is_asked_again_ever_more_seldom(waited: int, every: float) -> None:
    outcomes: dict[Effect, Outcome] = {TRIAL: PodTried(after(waited), QUOTA)}
    found = look("wine-1", "ws-a", MADE, outcomes, after(waited))
    assert found.waiting is not None
    assert (found.waiting.reason, found.effects, found.again_seconds) == ("QuotaExceeded", (), every)
    assert "requested 2, used 1, hard 2" in found.waiting.message
    late = look("wine-1", "ws-a", MADE, outcomes, after(waited * 1.34 + every))
    assert late.effects == (TRIAL,)
    assert late.waiting == found.waiting, "the old numbers stay until there are new ones"


def test_a_pod_that_would_be_taken_is_only_late() -> None:
    found = look("wine-1", "ws-a", MADE, {TRIAL: PodTried(after(11), None)}, after(12))
    assert found.waiting is not None
    assert found.waiting.reason == "PodNotCreated"
    assert "would take it now" in found.waiting.message


def test_where_asking_is_not_allowed_the_message_grants_it() -> None:
    refusal = 'pods is forbidden: User "o" cannot create resource "pods" in API group ""'
    found = look("wine-1", "ws-a", MADE, {TRIAL: PodTried(after(11), refusal)}, after(12))
    assert found.waiting is not None
    assert found.waiting.reason == "PodNotCreated"
    assert "kubectl -n ws-a apply" in found.waiting.message


def test_where_the_server_does_not_answer_the_user_is_told_where_to_look() -> None:
    failed = Failed(after(11), "InternalError", "no answer", transient=True)
    found = look("wine-1", "ws-a", MADE, {TRIAL: failed}, after(12))
    assert found.waiting is not None
    assert "describe quota" in found.waiting.message
    assert found.effects == ()
    assert look("wine-1", "ws-a", MADE, {TRIAL: failed}, after(30)).effects == (TRIAL,)
