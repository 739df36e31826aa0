"""The line of a namespace's runs where its zone lets only so many run at a time.

A run holds a place from the status write that records its attempt until that attempt has ended; it stands in line
while its status says so. Both are read from what is written, so that a restart changes nothing. Whose turn it is
follows from one order alone: two runs never take the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mlops_operator.api.trainingrun import ENDED
from mlops_operator.domain.observed import Place
from mlops_operator.domain.waiting import Waiting
from mlops_operator.settings import Profile, Zone

REASON = "Queued"
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
# Each run that starts moves all the others up. The nearer the turn, the sooner that is told.
SOONEST_SECONDS, LATEST_SECONDS = 15.0, 120.0


class Stand(Enum):
    """Where a run stands."""

    RUNS = "runs"  # an attempt of it is under way
    WAITS = "waits"  # in line
    ASIDE = "aside"  # it has not come to the line yet, or waits for something else, or has ended


@dataclass(frozen=True)
class Entry:
    """What the line needs of a run. ``name`` is unique: a line is of one namespace."""

    name: str
    stand: Stand
    created: str = ""  # as Kubernetes writes times, so that their order is that of the texts
    profile: str | None = None
    priority_class: str | None = None


def entry(obj: Mapping[str, Any]) -> Entry:
    """Read a TrainingRun's Kubernetes JSON."""
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    return Entry(
        metadata["name"],
        stand_of(obj.get("status") or {}),
        str(metadata.get("creationTimestamp") or ""),
        spec.get("profile"),
        (spec.get("scheduling") or {}).get("priorityClassName"),
    )


def has_ended(status: Mapping[str, Any]) -> bool:
    """Whether a run has ended: it never comes to the line again."""
    return status.get("phase") in ENDED


def stand_of(status: Mapping[str, Any]) -> Stand:
    """Read where a run stands from its status."""
    if has_ended(status) or status.get("phase") == "Suspended":
        return Stand.ASIDE
    attempts = status.get("attempts") or []
    if attempts and not attempts[-1].get("endTime"):
        return Stand.RUNS
    return Stand.WAITS if status.get("reason") == REASON else Stand.ASIDE


@dataclass(frozen=True)
class Order:
    """What goes first in a zone's line: priority, then age."""

    zone_name: str
    zone: Zone
    profiles: Mapping[str, Profile]

    def key(self, one: Entry) -> tuple[int, str, str]:
        """Give what to sort by."""
        zone = self.zone
        profile = self.profiles.get(one.profile or zone.default_profile or "")
        asked = one.priority_class or (
            profile.scheduling.priority_class_name if profile is not None else None
        )
        return (-zone.priorities.get(asked or zone.priority_class_name or "", 0), one.created, one.name)

    def place(self, mine: Entry, others: Iterable[Entry]) -> Place | None:
        """Give the place of a run among the others of its namespace; None where its zone has no limit.

        Parameters
        ----------
        others
            All other runs. One that is about to start counts as one that runs.
        """
        if self.zone.max_concurrent_runs is None:
            return None
        running, ahead, waiting = 0, 0, 1
        own = self.key(mine)
        for other in others:
            running += other.stand is Stand.RUNS
            if other.stand is Stand.WAITS:
                waiting += 1
                ahead += self.key(other) < own
        return Place(self.zone_name, self.zone.max_concurrent_runs, running, ahead, waiting)

    def next_ones(self, entries: Iterable[Entry]) -> list[str]:
        """Give the names of those in line whose turn it is."""
        if self.zone.max_concurrent_runs is None:
            return []
        found = list(entries)
        free = self.zone.max_concurrent_runs - sum(one.stand is Stand.RUNS for one in found)
        line = sorted((one for one in found if one.stand is Stand.WAITS), key=self.key)
        return [one.name for one in line[: max(free, 0)]]


def hold(found: Place | None) -> Waiting | None:
    """Say for what a run waits in line; None: it may start."""
    if found is None or found.may_start:
        return None
    number = ORDINALS[found.ahead] if found.ahead < len(ORDINALS) else f"number {found.ahead + 1}"
    of = f"the {number} of {found.waiting} that wait" if found.waiting > 1 else "the only one that waits"
    runs = "1 run" if found.limit == 1 else f"{found.limit} runs"
    return Waiting(
        REASON,
        f"Zone {found.zone} allows {runs} of a namespace at a time; {found.running} of {found.limit} are running. This run"
        f" is {of}; it starts by itself when its turn has come.",
        min(SOONEST_SECONDS + 2.0 * found.ahead, LATEST_SECONDS),
    )
