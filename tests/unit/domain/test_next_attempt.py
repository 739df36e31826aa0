"""What is tried again, how often and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlops_operator.api.trainingrun import AttemptStatus, Retry, RetryStatus
from mlops_operator.api.wire import Cause
from mlops_operator.domain.next_attempt import Again, decide
from mlops_operator.domain.outcome import Ending

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FAILED = AttemptStatus(number=1, exit_code=3)
BOTH = Retry(sides=["Platform", "User"])


def after(
    cause: Cause,
    retry: Retry | None = None,
    tally: RetryStatus | None = None,
    attempt: AttemptStatus = FAILED,
) -> Again | None:
    return decide(Ending(cause, "train"), attempt, retry or Retry(), tally or RetryStatus(), NOW)


def wait(again: Again | None) -> float | None:
    assert again is not None
    return (again.tally.next_time - NOW).total_seconds() if again.tally.next_time is not None else None


def test_platform_failures_are_repeated_with_growing_back_off_up_to_the_limit() -> None:
    retry, tally, waits = Retry(limit=3, backoff_seconds=5), RetryStatus(), []
    while (again := after("StorageDenied", retry, tally)) is not None:
        assert again.counted
        waits.append(wait(again))
        tally = again.tally
    assert waits == [5, 10, 20]
    assert tally.failures == 3


def test_the_back_off_is_bounded() -> None:
    assert wait(after("StorageDenied", Retry(limit=9, backoff_seconds=3600), RetryStatus(failures=8))) == 3600


@pytest.mark.parametrize("cause", ["UserError", "OOMKilled"])
def test_user_errors_only_if_asked(cause: Cause) -> None:
    assert after(cause) is None
    again = after(cause, BOTH)
    assert again is not None
    assert again.counted


def test_nothing_is_repeated_where_no_side_is_named() -> None:
    assert after("StorageDenied", Retry(sides=[])) is None
    assert after("Evicted", Retry(sides=[], limit=0)) is not None, "a disruption is no failure"


@pytest.mark.parametrize(
    "cause",
    [
        "DeadlineExceeded",
        "DatasetChanged",
        "SourceNotFound",
        "NoModelProduced",
        "StartDeadlineExceeded",
        "Cancelled",
    ],
)
def test_what_another_attempt_cannot_mend_is_final(cause: Cause) -> None:
    assert after(cause, BOTH) is None


@pytest.mark.parametrize(
    "cause", ["UploadFailed", "StorageFull", "Evicted", "NodeLost", "Suspended", "UserError"]
)
def test_what_ended_with_0_is_never_run_again(cause: Cause) -> None:
    assert after(cause, BOTH, attempt=AttemptStatus(number=1, exit_code=0)) is None


@pytest.mark.parametrize("cause", ["Deleted", "Evicted", "Preempted", "NodeLost"])
def test_ten_short_disruptions_in_a_row_end_the_run(cause: Cause) -> None:
    tally, waits = RetryStatus(failures=1), []
    while (again := after(cause, tally=tally)) is not None:
        assert not again.counted
        waits.append(wait(again))
        tally = again.tally
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert tally.failures == 1, "they do not count"


def test_a_training_that_lasted_begins_the_count_anew() -> None:
    lasting = AttemptStatus(number=9, training_start_time=NOW - timedelta(seconds=60))
    again = after("Evicted", tally=RetryStatus(disruptions=9), attempt=lasting)
    assert again is not None
    assert again.tally.disruptions == 1


def test_a_failure_ends_a_row_of_disruptions() -> None:
    again = after("StorageDenied", tally=RetryStatus(disruptions=9))
    assert again is not None
    assert again.tally.disruptions == 0


def test_a_suspension_counts_for_nothing_and_waits_for_its_user_alone() -> None:
    before = RetryStatus(failures=1, disruptions=4, next_time=NOW)
    again = after("Suspended", tally=before)
    assert again is not None
    assert not again.counted
    assert again.tally == RetryStatus(failures=1, disruptions=4)
