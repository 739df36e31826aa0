"""The lines of namespaces: never more than allowed, nobody forgotten, nothing known only to this process."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_operator.controller.keys import Key
from mlops_operator.controller.lines import Lines
from mlops_operator.controller.store import Store
from mlops_operator.domain.observed import NamespaceView
from mlops_operator.settings import Settings
from tests.unit.controller import objects

LIMIT = 2
SETTINGS = Settings.model_validate(
    {"zones": {"small": {"maxConcurrentRuns": LIMIT, "priorities": {"urgent": 1}}, "large": {}}}
)
RUNNING = {"phase": "Running", "attempts": [{"number": 1}]}
WAITING = {"phase": "Queued", "reason": "Queued"}
# Between two attempts it holds no place, nor while it is suspended.
BACK_OFF = {
    "phase": "Pending",
    "reason": "BackOff",
    "attempts": [{"number": 1, "endTime": "2026-03-01T12:00:00Z"}],
}
SUSPENDED = {**BACK_OFF, "phase": "Suspended", "reason": "Suspended"}
ENDED = {"phase": "Succeeded", "attempts": [{"number": 1, "endTime": "2026-03-01T12:00:00Z"}]}


def namespace(name: str = "ws-a", zone: str | None = "small") -> dict[str, Any]:
    labels = {"mlops.eoepca.org/zone": zone} if zone else {}
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "1", "labels": labels}}


def key(name: str) -> Key:
    return Key("TrainingRun", "ws-a", name)


def run(name: str, status: dict[str, Any], version: int = 1, priority: str | None = None) -> dict[str, Any]:
    obj = objects.run(name, uid=f"uid-{name}", version=version, status=status)
    obj["metadata"]["creationTimestamp"] = "2026-03-01T12:00:00Z"
    if priority is not None:
        obj["spec"]["scheduling"] = {"priorityClassName": priority}
    return obj


@pytest.fixture
def lines() -> Lines:
    return Lines(SETTINGS)


@pytest.fixture
def store(lines: Lines) -> Store:
    store = Store(lines)
    store.put("Namespace", namespace())
    return store


def test_an_end_wakes_the_next_in_line(store: Store) -> None:
    for name, status in (("a", RUNNING), ("b", RUNNING), ("d", WAITING), ("c", WAITING)):
        store.put("TrainingRun", run(name, status))
    assert store.put("TrainingRun", run("a", ENDED, 2)) == [key("a"), key("c")]
    assert store.put("TrainingRun", run("c", RUNNING, 2)) == [key("c")]
    assert store.remove("TrainingRun", "ws-a", "b", "uid-b") == [key("b"), key("d")]


def test_who_leaves_the_line_for_another_reason_lets_the_next_one_in(store: Store) -> None:
    for name, status in (("a", RUNNING), ("b", WAITING), ("c", WAITING)):
        store.put("TrainingRun", run(name, status))
    woken = store.put("TrainingRun", run("b", {"phase": "Pending", "reason": "SecretMissing"}, 2))
    assert woken == [key("b"), key("c")]


def test_a_run_that_is_about_to_start_holds_its_place_until_the_store_knows_more(
    lines: Lines, store: Store
) -> None:
    for name, status in (("a", RUNNING), ("b", {}), ("c", {})):
        store.put("TrainingRun", run(name, status))
    lines.starting(key("b"))
    place = lines.place("ws-a", "c")
    assert place is not None
    assert (place.running, place.may_start) == (2, False)
    store.put("TrainingRun", run("c", WAITING, 2))
    woken = store.put("TrainingRun", run("b", {"phase": "Pending", "reason": "SecretMissing"}, 2))
    assert woken == [key("b"), key("c")]
    store.put("TrainingRun", run("b", RUNNING, 3))
    assert lines.place("ws-a", "b") is None, "it has its place"


def test_an_urgent_run_goes_first(lines: Lines, store: Store) -> None:
    for name, status in (("a", RUNNING), ("b", RUNNING), ("c", WAITING)):
        store.put("TrainingRun", run(name, status))
    store.put("TrainingRun", run("u", WAITING, priority="urgent"))
    place = lines.place("ws-a", "u")
    assert place is not None
    assert (place.ahead, place.waiting) == (0, 2)
    assert key("u") in store.put("TrainingRun", run("a", ENDED, 2))


def test_another_label_wakes_those_who_wait(lines: Lines, store: Store) -> None:
    for name, status in (("a", RUNNING), ("b", RUNNING), ("c", WAITING)):
        store.put("TrainingRun", run(name, status))
    assert store.put("Namespace", namespace()) == []
    assert store.put("Namespace", namespace(zone="large")) == [key("c")]
    assert lines.place("ws-a", "c") is None
    assert lines.namespace("ws-a") == NamespaceView("large")


def test_namespaces_come_and_go(lines: Lines, store: Store) -> None:
    assert lines.namespace("ws-b") is None
    store.put("Namespace", namespace("ws-b", None))
    assert lines.namespace("ws-b") == NamespaceView()
    assert store.known("Namespace") == {("", "ws-a"): "uid-ws-a", ("", "ws-b"): "uid-ws-b"}
    store.remove("Namespace", "", "ws-b", "uid-of-an-older-one")
    assert lines.namespace("ws-b") == NamespaceView()
    store.remove("Namespace", "", "ws-b", "uid-ws-b")
    assert lines.namespace("ws-b") is None


class Desk:
    """A namespace of runs, reconciled in any order, with writes that take their time and a process that dies."""

    def __init__(self, random: Random, count: int) -> None:
        self.random = random
        self.server = {f"run-{n}": run(f"run-{n}", {}) for n in range(count)}
        self.version = 1
        self.in_flight: dict[str, tuple[str, dict[str, Any]]] = {}  # name: planned from, status
        self.queue: set[str] = set()
        self.restart()

    def restart(self) -> None:
        self.lines = Lines(SETTINGS)
        self.store = Store(self.lines)
        self.store.put("Namespace", namespace())
        for obj in self.server.values():
            self.store.put("TrainingRun", obj)
        self.queue = set(self.server)

    def wake(self, keys: list[Key]) -> None:
        self.queue.update(found.name for found in keys)

    def reconcile(self) -> None:
        """Plan for one run as ``Reconciler`` does; its write arrives later."""
        ready = sorted(self.queue - set(self.in_flight))
        if not ready:
            return
        name = self.random.choice(ready)
        self.queue.discard(name)
        parent = self.store.parent(key(name))
        if parent is None or parent.phase in ("Running", "Succeeded"):
            return
        place = self.lines.place("ws-a", name)
        if place is not None and not place.may_start:
            if parent.reason != "Queued":
                self.in_flight[name] = (parent.resource_version, WAITING)
            return
        self.in_flight[name] = (parent.resource_version, RUNNING)
        self.lines.starting(key(name))

    def land(self) -> None:
        """Let one of the writes under way arrive."""
        if not self.in_flight:
            return
        name = self.random.choice(sorted(self.in_flight))
        planned_from, status = self.in_flight.pop(name)
        self.queue.add(name)
        if self.server[name]["metadata"]["resourceVersion"] == planned_from:
            self.write(name, status)

    def write(self, name: str, status: dict[str, Any]) -> None:
        self.version += 1
        self.server[name] = run(name, status, self.version)
        self.wake(self.store.put("TrainingRun", self.server[name]))
        running = [o for o in self.server.values() if o["status"].get("phase") == "Running"]
        assert len(running) <= LIMIT

    def end(self) -> None:
        self.leave(ENDED)

    def pause(self) -> None:
        """Let an attempt end, and the run not: it is tried again, or was suspended and goes on."""
        self.leave(self.random.choice([BACK_OFF, SUSPENDED]))

    def leave(self, status: dict[str, Any]) -> None:
        running = [n for n, o in self.server.items() if o["status"].get("phase") == "Running"]
        if running:
            name = self.random.choice(running)
            self.write(name, status)
            self.queue.add(name)

    def killed(self) -> None:
        """End the process; its successor begins when nothing of the old one can arrive any more."""
        self.in_flight.clear()
        self.restart()


@given(st.randoms(use_true_random=False), st.integers(1, 7))
def test_never_more_than_allowed_and_all_have_their_turn(random: Random, count: int) -> None:
    desk = Desk(random, count)
    for _ in range(40):
        random.choice(
            [desk.reconcile, desk.reconcile, desk.land, desk.land, desk.end, desk.pause, desk.killed]
        )()
    for _ in range(20 * count):
        desk.reconcile()
        desk.land()
        desk.end()
    phases = {obj["status"].get("phase") for obj in desk.server.values()}
    assert phases == {"Succeeded"}, "woken by events alone, all have run"
