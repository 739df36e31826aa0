"""The last progress report of each run, as its agent pushed it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from mlops_operator.api.wire import ProgressReport


class ProgressBoard:
    """Reports by the uid of their run and the worker's index; an older one never replaces a newer one."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._reports: dict[str, dict[int, tuple[ProgressReport, datetime]]] = {}

    def take(self, report: ProgressReport) -> bool:
        """Keep a report; False if it is older than the one known, or the same again."""
        workers = self._reports.setdefault(report.run.uid, {})
        known = workers.get(report.run.worker)
        if known is not None and _order(report) <= _order(known[0]):
            return False
        workers[report.run.worker] = (report, self._now())
        return True

    def of(self, run_uid: str) -> ProgressReport | None:
        """Give the last report of worker 0, which speaks for the run."""
        known = self._reports.get(run_uid, {}).get(0)
        return known[0] if known is not None else None

    def of_others(self, run_uid: str) -> dict[int, ProgressReport]:
        """Give the last reports of the other workers, by index."""
        return {index: report for index, (report, _) in self._reports.get(run_uid, {}).items() if index}

    def heard_at(self, run_uid: str) -> datetime | None:
        """Give the time at which the last report of worker 0 arrived."""
        known = self._reports.get(run_uid, {}).get(0)
        return known[1] if known is not None else None

    def forget(self, run_uid: str) -> None:
        self._reports.pop(run_uid, None)


def _order(report: ProgressReport) -> tuple[int, int]:
    return report.run.attempt, report.sequence
