"""Runs outside work in a bounded pool: each effect once at a time, whoever asks for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from mlops_operator import errors
from mlops_operator.controller.keys import Key
from mlops_operator.controller.outcomes import Outcomes
from mlops_operator.domain.effects import Effect, Failed, Outcome

log = logging.getLogger(__name__)

# Whatever a plan asks: after a failure an effect is not started again at once.
FIRST_RETRY_SECONDS: Final = 1.0
LAST_RETRY_SECONDS: Final = 30.0
LIMIT_SECONDS: Final = 1800.0


class NotPermitted(errors.MlopsError):
    """The operator may not do this; the message says which command permits it."""


class SecretMissing(errors.MlopsError):
    """There is no such Secret, or it lacks keys."""


# The first that fits: (exception, cause in the status, whether another try may help without a change).
_CAUSES: Final[tuple[tuple[type[Exception], str, bool], ...]] = (
    (NotPermitted, "NotPermitted", True),
    (SecretMissing, "SecretMissing", True),
    (errors.CredentialsError, "SecretMissing", True),
    (errors.StorageDenied, "StorageDenied", True),
    (errors.StorageUnavailable, "StorageUnavailable", True),
    (errors.StorageFull, "StorageFull", True),
    (errors.ObjectNotFound, "SourceNotFound", False),
    (errors.AlreadyExists, "VersionTaken", False),
    (errors.DatasetChanged, "DatasetChanged", False),
    (errors.IntegrityError, "IntegrityError", False),
    (errors.SourceNotFound, "SourceNotFound", False),
)


class Runner(Protocol):
    """Does one effect; see ``storage_effects.StorageEffects``."""

    async def run(self, effect: Effect) -> Outcome: ...


class ByKind:
    """Gives each kind of effect to the one who does it.

    Parameters
    ----------
    others
        Who does what is not named.
    """

    def __init__(
        self, named: Mapping[type[Effect], Callable[[Any], Awaitable[Outcome]]], others: Runner
    ) -> None:
        self._named = named
        self._others = others

    async def run(self, effect: Effect) -> Outcome:
        """Do an effect (see ``Runner``)."""
        return await self._named.get(type(effect), self._others.run)(effect)


class EffectPool:
    """Starts effects, keeps their outcomes, wakes who asked."""

    def __init__(
        self,
        runner: Runner,
        outcomes: Outcomes,
        *,
        wake: Callable[[Key], None],
        count: Callable[[str, str], None] = lambda _effect, _outcome: None,
        concurrency: int = 8,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._runner = runner
        self._outcomes = outcomes
        self._wake = wake
        self._count = count
        self._slots = asyncio.Semaphore(concurrency)
        self._now = now
        self._sleep = sleep
        self._running: dict[Effect, asyncio.Task[None]] = {}

    def request(self, key: Key, effects: Iterable[Effect]) -> None:
        """Start what a plan asks for, unless it runs already; the key is woken by the outcome."""
        for effect in effects:
            self._outcomes.need(key, effect)
            if effect not in self._running:
                self._running[effect] = asyncio.create_task(self._run(effect), name=repr(effect))

    def running(self) -> int:
        return len(self._running)

    async def close(self, patience_seconds: float) -> None:
        """Let what runs end for a while, then stop waiting for it: it is idempotent and asked for again."""
        tasks = list(self._running.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=patience_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _run(self, effect: Effect) -> None:
        try:
            await self._pause(effect)
            async with self._slots:
                outcome = await self._outcome(effect)
        finally:
            del self._running[effect]
        self._count(type(effect).__name__, outcome.cause if isinstance(outcome, Failed) else "ok")
        for key in self._outcomes.put(effect, outcome):
            self._wake(key)

    async def _pause(self, effect: Effect) -> None:
        last = self._outcomes.get(effect)
        if not isinstance(last, Failed):
            return
        pause = min(FIRST_RETRY_SECONDS * 2.0 ** min(last.failures - 1, 10), LAST_RETRY_SECONDS)
        remaining = pause - (self._now() - last.at).total_seconds()
        if remaining > 0:
            await self._sleep(remaining)

    async def _outcome(self, effect: Effect) -> Outcome:
        failures = self._outcomes.failures(effect) + 1
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                return await self._runner.run(effect)
        except errors.MlopsError as error:
            failed = failed_outcome(error, self._now(), failures)
            log.warning("%s: %s: %s", type(effect).__name__, failed.cause, error)
            return failed
        except TimeoutError:
            message = f"{type(effect).__name__} took longer than {LIMIT_SECONDS:.0f} s"
            return Failed(self._now(), "StorageUnavailable", message, transient=True, failures=failures)
        except Exception as error:
            # A defect of ours: the resource says so, and the log has the trace.
            log.exception("%s failed unexpectedly", type(effect).__name__)
            message = f"{type(error).__name__}: {error}"
            return Failed(self._now(), "InternalError", message, transient=True, failures=failures)


def failed_outcome(error: errors.MlopsError, at: datetime, failures: int) -> Failed:
    """Say in the words of the status what an error means."""
    for kind, cause, transient in _CAUSES:
        if isinstance(error, kind):
            return Failed(at, cause, str(error), transient=transient, failures=failures)
    # The API server's own refusals, among others.
    return Failed(at, "InternalError", str(error), transient=True, failures=failures)
