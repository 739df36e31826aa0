"""The last progress report of each run, as its agent pushed it."""

from __future__ import annotations

from mlops_operator.api.wire import ProgressReport


class ProgressBoard:
    """Reports by the uid of their run; an older one never replaces a newer one."""

    def __init__(self) -> None:
        self._reports: dict[str, ProgressReport] = {}

    def take(self, report: ProgressReport) -> bool:
        """Keep a report; False if it is older than the one known, or the same again."""
        known = self._reports.get(report.run.uid)
        if known is not None and _order(report) <= _order(known):
            return False
        self._reports[report.run.uid] = report
        return True

    def of(self, run_uid: str) -> ProgressReport | None:
        return self._reports.get(run_uid)

    def forget(self, run_uid: str) -> None:
        self._reports.pop(run_uid, None)


def _order(report: ProgressReport) -> tuple[int, int]:
    return report.run.attempt, report.sequence
