"""Who waits, in which order, and what is told."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_operator.domain.line import Entry, Order, Stand, entry, hold, stand_of
from mlops_operator.domain.observed import Place
from mlops_operator.settings import Profile, Zone

ZONE = Zone(max_concurrent_runs=2, priorities={"urgent": 10, "idle": -1}, priority_class_name="normal")
URGENT = Profile.model_validate({"scheduling": {"priorityClassName": "urgent"}})
ORDER = Order("development", ZONE, {"fast": URGENT})


def waits(name: str, created: str = "2026-03-01T12:00:00Z", **more: Any) -> Entry:
    return Entry(name, Stand.WAITS, created, **more)


def runs(name: str) -> Entry:
    return Entry(name, Stand.RUNS)


@pytest.mark.parametrize(
    ("status", "stand"),
    [
        ({}, Stand.ASIDE),
        ({"phase": "Pending", "reason": "DatasetNotReady"}, Stand.ASIDE),
        ({"phase": "Queued", "reason": "Queued"}, Stand.WAITS),
        ({"phase": "Pending", "reason": "Pending", "attempts": [{"number": 1}]}, Stand.RUNS),
        ({"phase": "Queued", "reason": "Queued", "attempts": [{"number": 1}]}, Stand.RUNS),
        (
            {"phase": "Pending", "reason": "BackOff", "attempts": [{"endTime": "2026-03-01T12:00:00Z"}]},
            Stand.ASIDE,
        ),
        (
            {"phase": "Queued", "reason": "Queued", "attempts": [{"endTime": "2026-03-01T12:00:00Z"}]},
            Stand.WAITS,
        ),
        ({"phase": "Suspended", "reason": "Suspended", "attempts": [{}]}, Stand.ASIDE),
        ({"phase": "Succeeded", "attempts": [{}]}, Stand.ASIDE),
    ],
)
def test_where_a_run_stands_is_read_from_its_status(status: dict[str, Any], stand: Stand) -> None:
    assert stand_of(status) == stand


def test_an_entry_is_read_from_the_resource() -> None:
    found = entry(
        {
            "metadata": {"name": "wine", "creationTimestamp": "2026-03-01T12:00:00Z"},
            "spec": {"profile": "fast", "scheduling": {"priorityClassName": "urgent"}},
        }
    )
    assert found == Entry("wine", Stand.ASIDE, "2026-03-01T12:00:00Z", "fast", "urgent")


def test_priority_goes_before_age_and_age_before_the_name() -> None:
    line = [
        waits("idle", "2026-03-01T10:00:00Z", priority_class="idle"),
        waits("late", "2026-03-01T12:00:01Z"),
        waits("b"),
        waits("a"),
        waits("urgent", "2026-03-01T14:00:00Z", priority_class="urgent"),
        waits("by-profile", "2026-03-01T13:00:00Z", profile="fast"),
    ]
    names = [one.name for one in sorted(line, key=ORDER.key)]
    assert names == ["by-profile", "urgent", "a", "b", "late", "idle"]


def test_who_comes_is_let_in_while_there_is_room_for_those_before_it() -> None:
    mine = Entry("mine", Stand.ASIDE, "2026-03-01T12:00:05Z")
    first = ORDER.place(mine, [runs("r")])
    assert first == Place("development", 2, running=1, ahead=0, waiting=1)
    assert hold(first) is None
    behind = ORDER.place(mine, [runs("r"), waits("w")])
    assert behind is not None
    assert not behind.may_start, "the free place is another's"


def test_the_message_has_numbers_and_the_place() -> None:
    mine = Entry("c", Stand.WAITS, "2026-03-01T12:00:02Z")
    others = [runs("r"), runs("s"), waits("a"), waits("b"), waits("d", "2026-03-01T12:00:03Z")]
    held = hold(ORDER.place(mine, others))
    assert held is not None
    assert held.reason == "Queued"
    assert "the third of 4 that wait" in held.message
    assert "2 of 2 are running" in held.message
    only = hold(Place("z", 1, running=1, ahead=0, waiting=1))
    assert only is not None
    assert "the only one that waits" in only.message
    last = hold(Place("z", 1, running=1, ahead=499, waiting=500))
    assert last is not None
    assert "number 500 of 500" in last.message
    assert last.again_seconds == 120.0


def test_those_whose_turn_it_is() -> None:
    line = [waits("b", "2"), waits("a", "1"), waits("c", "3")]
    assert ORDER.next_ones([*line, runs("r")]) == ["a"]
    assert ORDER.next_ones(line) == ["a", "b"]
    assert ORDER.next_ones([*line, runs("r"), runs("s"), runs("t")]) == []


def test_without_a_limit_there_is_no_line() -> None:
    order = Order("z", Zone(), {})
    assert order.place(waits("a"), [runs("r")]) is None
    assert order.next_ones([waits("a")]) == []
    assert hold(None) is None
