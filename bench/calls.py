"""Counts of API calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.e2e.audit import Call


def by_verb(calls: Iterable[Call], namespace: str) -> Counter[str]:
    """Count the calls that concern a namespace, as "create jobs" or "patch trainingruns/status"."""
    return Counter(f"{call.verb} {call.resource}" for call in calls if call.namespace == namespace)


def per_object(calls: Counter[str], objects: int) -> dict[str, float]:
    """Divide by the number of objects, the most frequent first."""
    return {what: round(count / objects, 3) for what, count in calls.most_common()}
