"""When an effect that failed is asked for again."""

from __future__ import annotations

from datetime import datetime

from mlops_operator.domain.effects import Failed
from mlops_operator.domain.times import seconds_between

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 300.0
# Somebody mends these outside: they are asked for again, whatever the effect says.
MENDED_OUTSIDE = frozenset(
    {
        "SecretMissing",
        "NotPermitted",
        "StorageDenied",
        "StorageUnavailable",
        "StorageFull",
        "InvalidCredentials",
        "QuotaExceeded",
    }
)


def is_mended_outside(outcome: Failed) -> bool:
    """Whether asking again can help."""
    return outcome.transient or outcome.cause in MENDED_OUTSIDE


def backoff_seconds(failures: int, first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> float:
    """First · 2^(failures - 1), at most ``longest``."""
    return float(min(longest, first * 2 ** min(max(failures, 1) - 1, 32)))


def seconds_until_again(outcome: Failed, now: datetime, every: float | None = None) -> float:
    """How long to wait until the effect is asked for again; 0: now.

    Parameters
    ----------
    every
        A fixed interval in seconds, instead of one that grows.
    """
    wait = backoff_seconds(outcome.failures) if every is None else every
    return max(0.0, wait - seconds_between(outcome.at, now))
