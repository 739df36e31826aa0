"""Times of a status: whole seconds in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def whole_second(value: datetime) -> datetime:
    """Without microseconds, in UTC, as `in_utc`."""
    return in_utc(value).replace(microsecond=0)


def in_utc(value: datetime) -> datetime:
    """In UTC; a time without a zone is taken for UTC, one before 1970 for 1970."""
    try:
        aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        return EPOCH
    return max(aware, EPOCH)


def seconds_between(start: datetime, end: datetime) -> float:
    """From start to end; negative where the end is earlier."""
    return (whole_second(end) - whole_second(start)).total_seconds()


def parse_time(value: object) -> datetime | None:
    """Give an RFC 3339 time of a Kubernetes object; None where there is none, or it is not one."""
    if not isinstance(value, str):
        return None
    try:
        return whole_second(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        return None


def earliest(*seconds: float | None) -> float | None:
    """Give the shortest of several waits; None where there is nothing to wait for."""
    known = [value for value in seconds if value is not None]
    return min(known) if known else None
