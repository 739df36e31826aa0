"""The queue: each key once, never two workers on one, nothing lost, the better priority first."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mlops_operator.controller.keys import Key, Priority
from mlops_operator.controller.queue import FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS, WorkQueue

KEYS = [Key("TrainingRun", "ws", f"run-{number}") for number in range(4)]
A, B, C, _ = KEYS


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class QueueMachine(RuleBasedStateMachine):
    """Compares the queue with a plain model of what it promises."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.queue = WorkQueue(self.clock)
        self.ready: dict[Key, Priority] = {}
        self.timers: dict[Key, tuple[float, Priority]] = {}
        self.working: set[Key] = set()
        self.again: dict[Key, Priority] = {}

    def _add(self, key: Key, priority: Priority) -> None:
        waiting = self.again if key in self.working else self.ready
        waiting[key] = min(priority, waiting.get(key, priority))

    def _ring(self) -> None:
        for key, (due, priority) in sorted(self.timers.items(), key=lambda item: item[1][0]):
            if due <= self.clock.now:
                del self.timers[key]
                self._add(key, priority)

    @rule(key=st.sampled_from(KEYS), priority=st.sampled_from(list(Priority)))
    def add(self, key: Key, priority: Priority) -> None:
        self.queue.add(key, priority)
        self._add(key, priority)

    @rule(
        key=st.sampled_from(KEYS),
        priority=st.sampled_from(list(Priority)),
        seconds=st.integers(min_value=1, max_value=20),
    )
    def add_later(self, key: Key, priority: Priority, seconds: int) -> None:
        self.queue.add(key, priority, after_seconds=seconds)
        due = self.clock.now + seconds
        if key not in self.timers or due < self.timers[key][0]:
            self.timers[key] = (due, priority)

    @rule(seconds=st.integers(min_value=0, max_value=30))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule()
    def take(self) -> None:
        self._ring()
        key = self.queue.take()
        if not self.ready:
            assert key is None
            return
        assert key is not None
        assert key not in self.working
        taken = self.ready.pop(key)
        assert all(taken <= other for other in self.ready.values())
        self.timers.pop(key, None)
        self.working.add(key)

    @rule(key=st.sampled_from(KEYS))
    def done(self, key: Key) -> None:
        if key in self.working:
            self.working.discard(key)
            self.queue.done(key)
            if key in self.again:
                self._add(key, self.again.pop(key))

    @invariant()
    def counts_agree(self) -> None:
        assert self.queue.working() == len(self.working)
        assert set(self.queue.depth().elements()) <= set(Priority)
        assert sum(self.queue.depth().values()) >= len(self.ready)


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_an_older_key_of_the_same_priority_comes_first() -> None:
    queue = WorkQueue()
    for key in (B, A, C):
        queue.add(key)
    assert [queue.take(), queue.take(), queue.take(), queue.take()] == [B, A, C, None]


def test_the_back_off_grows_and_is_forgotten() -> None:
    queue = WorkQueue(Clock())
    seconds = [queue.failed(A, Priority.NORMAL) for _ in range(10)]
    assert seconds[:3] == [FIRST_RETRY_SECONDS, 2 * FIRST_RETRY_SECONDS, 4 * FIRST_RETRY_SECONDS]
    assert seconds[-1] == LAST_RETRY_SECONDS
    queue.succeeded(A)
    assert queue.failed(A, Priority.NORMAL) == FIRST_RETRY_SECONDS


async def test_a_waiting_worker_is_woken_by_a_key_and_by_a_timer() -> None:
    queue = WorkQueue()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add(A)
    assert await worker == A
    queue.add(B, after_seconds=0.01)
    async with asyncio.timeout(5):
        assert await queue.get() == B


async def test_a_cancelled_worker_passes_its_wake_up_on() -> None:
    queue = WorkQueue()
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add(A)
    first.cancel()
    async with asyncio.timeout(5):
        assert await second == A
    with pytest.raises(asyncio.CancelledError):
        await first
