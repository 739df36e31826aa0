"""The work to do: each key once, one worker a key, what users wait for first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from mlops_operator.controller.keys import Key, Priority

FIRST_RETRY_SECONDS: Final = 0.5
LAST_RETRY_SECONDS: Final = 60.0


class WorkQueue:
    """A coalescing queue.

    A key that is added again while it waits is still one entry, with the better of the priorities. One that is added
    while it is worked on is given out again after that. Taking a key drops its timer: whoever works on it sets the
    next one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._order = itertools.count()
        self._ready: dict[Key, tuple[Priority, int]] = {}
        self._heap: list[tuple[Priority, int, Key]] = []
        self._due: dict[Key, tuple[float, Priority]] = {}
        self._timers: list[tuple[float, Key]] = []
        self._working: set[Key] = set()
        self._again: dict[Key, Priority] = {}
        self._failures: dict[Key, int] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    def add(self, key: Key, priority: Priority = Priority.NORMAL, after_seconds: float = 0.0) -> None:
        """Ask for a key to be worked on, now or after a while; the earlier of two timers counts."""
        if after_seconds > 0:
            due = self._clock() + after_seconds
            known = self._due.get(key)
            if known is None or due < known[0]:
                self._due[key] = (due, priority)
                heapq.heappush(self._timers, (due, key))
                self._set_alarm()
            return
        if key in self._working:
            self._again[key] = min(priority, self._again.get(key, priority))
            return
        waiting = self._ready.get(key)
        if waiting is None or priority < waiting[0]:
            entry = (priority, next(self._order))
            self._ready[key] = entry
            heapq.heappush(self._heap, (*entry, key))
            self._wake_one()

    def take(self) -> Key | None:
        """Give the next key and keep it from others until ``done``; None if there is nothing to do now."""
        self._promote()
        while self._heap:
            priority, order, key = heapq.heappop(self._heap)
            if self._ready.get(key) != (priority, order):
                continue  # taken already, or added again with a better priority
            del self._ready[key]
            self._due.pop(key, None)
            self._working.add(key)
            return key
        return None

    async def get(self) -> Key:
        """Wait for the next key."""
        while (key := self.take()) is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            self._set_alarm()
            try:
                await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():
                    self._wake_one()  # it was woken, and somebody else must look instead
                raise
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        return key

    def done(self, key: Key) -> None:
        """Say that the work on a key has ended; if it was added meanwhile, it is ready again."""
        self._working.discard(key)
        priority = self._again.pop(key, None)
        if priority is not None:
            self.add(key, priority)

    def failed(self, key: Key, priority: Priority, at_least_seconds: float = 0.0) -> float:
        """Ask for another try after a time that grows with each failure in a row; gives the seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        seconds = min(FIRST_RETRY_SECONDS * 2.0 ** min(failures, 16), LAST_RETRY_SECONDS)
        seconds = max(seconds, at_least_seconds)
        self.add(key, priority, after_seconds=seconds)
        return seconds

    def succeeded(self, key: Key) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    def depth(self) -> Counter[Priority]:
        """Count the ready keys by priority."""
        return Counter(priority for priority, _ in self._ready.values())

    def working(self) -> int:
        """Count the keys that are worked on."""
        return len(self._working)

    def _promote(self) -> None:
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            due, key = heapq.heappop(self._timers)
            known = self._due.get(key)
            if known is not None and known[0] == due:
                del self._due[key]
                self.add(key, known[1])

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._waiters and self._timers:
            seconds = max(0.0, self._timers[0][0] - self._clock())
            self._alarm = asyncio.get_running_loop().call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._promote()
        self._set_alarm()
