"""Outcomes of outside work, by the effect that asked for it, and who waits for which."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from mlops_operator.controller.keys import Key
from mlops_operator.domain.effects import Effect, Failed, Outcome

# What nobody needs any more stays a little: a workspace that was checked is asked for again by the next run.
IDLE_SECONDS: Final = 60.0


class Outcomes(Mapping[Effect, Outcome]):
    """The outcomes, readable as a mapping; an outcome is forgotten some time after nobody needs it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._outcomes: dict[Effect, Outcome] = {}
        self._needs: defaultdict[Key, set[Effect]] = defaultdict(set)
        self._needed_by: defaultdict[Effect, set[Key]] = defaultdict(set)
        self._idle: dict[Effect, float] = {}

    def __getitem__(self, effect: Effect) -> Outcome:
        return self._outcomes[effect]

    def __iter__(self) -> Iterator[Effect]:
        return iter(self._outcomes)

    def __len__(self) -> int:
        return len(self._outcomes)

    def need(self, key: Key, effect: Effect) -> None:
        """Note that a key waits for an effect's outcome."""
        self._needs[key].add(effect)
        self._needed_by[effect].add(key)
        self._idle.pop(effect, None)

    def release(self, key: Key) -> None:
        """Note that a key needs nothing any more."""
        for effect in self._needs.pop(key, set()):
            keys = self._needed_by[effect]
            keys.discard(key)
            if not keys:
                del self._needed_by[effect]
                self._idle[effect] = self._clock()

    def failures(self, effect: Effect) -> int:
        """Give how often in a row the effect has failed."""
        outcome = self._outcomes.get(effect)
        return outcome.failures if isinstance(outcome, Failed) else 0

    def put(self, effect: Effect, outcome: Outcome) -> frozenset[Key]:
        """Keep an outcome; gives the keys that wait for it."""
        self._outcomes[effect] = outcome
        keys = frozenset(self._needed_by.get(effect, ()))
        if not keys:
            self._idle[effect] = self._clock()
        self._sweep()
        return keys

    def drop(self, effect: Effect) -> None:
        """Forget an outcome that is no longer true."""
        self._outcomes.pop(effect, None)

    def _sweep(self) -> None:
        # Insertion order is order of time, so only what goes is looked at.
        now = self._clock()
        while self._idle:
            effect, since = next(iter(self._idle.items()))
            if now - since < IDLE_SECONDS:
                return
            del self._idle[effect]
            self._outcomes.pop(effect, None)
