"""Usage of an attempt, and of all attempts together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlops_operator.api.trainingrun import UsageStatus
from mlops_operator.api.wire import ProgressReport, RunIdentity, UsageReport
from mlops_operator.domain.usage import of_attempt, of_report, together, total

SECONDS = st.one_of(st.none(), st.floats(0, 1e6).map(lambda value: round(value, 3)))
REPORTS = st.builds(
    UsageReport, cpu_seconds=SECONDS, gpu_seconds=SECONDS, memory_peak_bytes=st.integers(0, 2**40)
)


def test_what_is_unmeasured_is_said_and_not_zero() -> None:
    found = of_report(UsageReport(cpu_seconds=1.5, gpu_unmeasured="the image has no nvidia-smi"), None)
    assert found == UsageStatus(cpu_seconds=1.5, unmeasured="gpuSeconds: the image has no nvidia-smi")


def test_nothing_told_leaves_what_was_known() -> None:
    known = UsageStatus(cpu_seconds=2.0)
    assert of_report(None, known) == of_report(UsageReport(), known) == known
    assert of_report(UsageReport(cpu_seconds=float("nan")), None) is None


@given(st.lists(st.lists(REPORTS, min_size=1, max_size=4), min_size=1, max_size=4))
def test_the_total_is_that_of_the_last_word_of_each_attempt(attempts: list[list[UsageReport]]) -> None:
    whole: UsageStatus | None = None
    last = []
    for reports in attempts:
        attempt: UsageStatus | None = None
        for report in reports:
            now = of_report(report, attempt)
            whole, attempt = total(whole, attempt, now), now
        last.append(attempt)
    for name in ("cpu_seconds", "gpu_seconds"):
        values = [value for used in last if used and (value := getattr(used, name)) is not None]
        found = getattr(whole, name) if whole else None
        # A figure that was told once and is missing from a later report of the same attempt stays counted.
        assert (found or 0.0) >= sum(values) - 0.01
    peaks = [report.memory_peak_bytes or 0 for reports in attempts for report in reports]
    assert whole is not None
    assert whole.memory_peak_bytes == max(peaks)


def test_an_attempt_is_counted_once_however_often_it_is_told() -> None:
    first, more = UsageStatus(cpu_seconds=10.0), UsageStatus(cpu_seconds=12.5)
    whole = total(None, None, first)
    whole = total(whole, first, first)
    whole = total(whole, first, more)
    assert whole == UsageStatus(cpu_seconds=12.5)
    assert total(whole, None, UsageStatus(cpu_seconds=1.0)) == UsageStatus(cpu_seconds=13.5)


def test_workers_count_together_once_all_have_told() -> None:
    run = RunIdentity(name="wine", namespace="ws-a", uid="u")
    used = [
        UsageReport(cpu_seconds=2.0, gpu_seconds=1.0, memory_peak_bytes=100),
        UsageReport(cpu_seconds=3.0, memory_peak_bytes=300),
    ]
    reports = [
        ProgressReport(run=run.of_worker(i), pod_uid=f"p-{i}", sequence=1, phase="Running", usage=told)
        for i, told in enumerate(used)
    ]
    before = UsageStatus(cpu_seconds=1.0)
    assert of_attempt([reports[0], None], before) == before
    assert of_attempt(reports, before) == UsageStatus(cpu_seconds=5.0, gpu_seconds=1.0, memory_peak_bytes=300)
    assert together([]) is None
