"""What a run used: of each attempt, and of all together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlops_operator.api.trainingrun import UsageStatus
from mlops_operator.api.wire import ProgressReport, UsageReport

MAX_BYTES = 2**53
MAX_TEXT = 512
DIGITS = 3


def of_attempt(reports: Sequence[ProgressReport | None], before: UsageStatus | None) -> UsageStatus | None:
    """Give what the workers of an attempt have used, of their end where that is known; as before until all have told."""
    told = [(report.training or report.usage) if report is not None else None for report in reports]
    known = [entry for entry in told if entry is not None]
    return of_report(together(known), before) if len(known) == len(told) else before


def together(told: Sequence[UsageReport]) -> UsageReport | None:
    """Sum the times of several workers up; the memory is the most that one of them used."""
    if len(told) <= 1:
        return told[0] if told else None
    cpu = [entry.cpu_seconds for entry in told if entry.cpu_seconds is not None]
    gpu = [entry.gpu_seconds for entry in told if entry.gpu_seconds is not None]
    peaks = [entry.memory_peak_bytes for entry in told if entry.memory_peak_bytes is not None]
    return UsageReport(
        cpu_seconds=sum(cpu) if cpu else None,
        gpu_seconds=sum(gpu) if gpu else None,
        memory_peak_bytes=max(peaks, default=None),
        gpu_unmeasured=next((entry.gpu_unmeasured for entry in told if entry.gpu_unmeasured), ""),
    )


def of_report(told: UsageReport | None, before: UsageStatus | None) -> UsageStatus | None:
    """Give what was told, as far as it was measured; as before where nothing was."""
    if told is None:
        return before
    found = UsageStatus(
        cpu_seconds=_seconds(told.cpu_seconds),
        gpu_seconds=_seconds(told.gpu_seconds),
        memory_peak_bytes=_bytes(told.memory_peak_bytes),
        unmeasured=f"gpuSeconds: {told.gpu_unmeasured}"[:MAX_TEXT] if told.gpu_unmeasured else None,
    )
    return found if found != UsageStatus() else before


def total(
    all_before: UsageStatus | None, before: UsageStatus | None, now: UsageStatus | None
) -> UsageStatus | None:
    """Give what all attempts used: as before, with an attempt's new figures in place of its old ones."""
    if now is None or now == before:
        return all_before
    whole, old = all_before or UsageStatus(), before or UsageStatus()
    return UsageStatus(
        cpu_seconds=_replaced(whole.cpu_seconds, old.cpu_seconds, now.cpu_seconds),
        gpu_seconds=_replaced(whole.gpu_seconds, old.gpu_seconds, now.gpu_seconds),
        memory_peak_bytes=max(
            (peak for peak in (whole.memory_peak_bytes, now.memory_peak_bytes) if peak is not None),
            default=None,
        ),
        unmeasured=now.unmeasured or (whole.unmeasured if whole.unmeasured != old.unmeasured else None),
    )


def _replaced(whole: float | None, old: float | None, new: float | None) -> float | None:
    if new is None:
        return whole
    return round(max(0.0, (whole or 0.0) - (old or 0.0)) + new, DIGITS)


def _seconds(value: float | None) -> float | None:
    return round(value, DIGITS) if value is not None and math.isfinite(value) and value >= 0 else None


def _bytes(value: int | None) -> int | None:
    return value if value is not None and 0 <= value <= MAX_BYTES else None
