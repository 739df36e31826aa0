"""The loop: take a key, observe, plan, execute, start effects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from pydantic import ValidationError

from mlops_operator.controller.effects import EffectPool
from mlops_operator.controller.execute import Executor
from mlops_operator.controller.keys import Key
from mlops_operator.controller.lines import Lines
from mlops_operator.controller.logs import about
from mlops_operator.controller.metrics import Metrics
from mlops_operator.controller.observe import Observed, Observer
from mlops_operator.controller.outcomes import Outcomes
from mlops_operator.controller.progress import ProgressBoard
from mlops_operator.controller.queue import WorkQueue
from mlops_operator.controller.store import Parent, Store
from mlops_operator.controller.transport import KubeError
from mlops_operator.domain.observed import ObservedModel
from mlops_operator.domain.plan import Plan

log = logging.getLogger(__name__)

# Asking again for a resource that cannot be read helps only after a new version of the operator.
UNREADABLE_SECONDS: Final = 600.0


class Planner(Protocol):
    """Gives the plan for an observation; pure."""

    def __call__(self, observed: Observed, now: datetime) -> Plan: ...


@dataclass(frozen=True)
class Parts:
    """What the loop works with."""

    store: Store
    queue: WorkQueue
    observer: Observer
    planner: Planner
    executor: Executor
    effects: EffectPool
    outcomes: Outcomes
    progress: ProgressBoard
    metrics: Metrics
    lines: Lines | None = None


class Reconciler:
    """Works on keys with a number of workers, until it is told to stop."""

    def __init__(self, parts: Parts, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._parts = parts
        self._now = now
        self._workers: list[asyncio.Task[None]] = []
        self._busy: set[asyncio.Task[None]] = set()
        self._uids: dict[Key, str] = {}

    def start(self, workers: int) -> list[asyncio.Task[None]]:
        """Begin; a worker that ends is a defect, so its task is to be watched."""
        self._workers = [
            asyncio.create_task(self._work(), name=f"worker {number}") for number in range(workers)
        ]
        return self._workers

    async def stop(self, patience_seconds: float) -> None:
        """Take no more keys, and let the reconciles under way end for a while."""
        idle = [task for task in self._workers if task not in self._busy]
        for task in idle:
            task.cancel()
        busy = [task for task in self._workers if task in self._busy]
        self._workers = []
        if busy:
            _, late = await asyncio.wait(busy, timeout=patience_seconds)
            for task in late:
                task.cancel()
        await asyncio.gather(*idle, *busy, return_exceptions=True)

    async def reconcile(self, key: Key) -> None:
        """Bring one resource a step on.

        Raises
        ------
        KubeError
            A call failed; to be tried again.
        pydantic.ValidationError
            The resource cannot be read.
        """
        parts = self._parts
        parent = parts.store.parent(key)
        if parent is None or self._uids.setdefault(key, parent.uid) != parent.uid:
            self._forget(key)  # deleted, or made anew under its name
        if parent is None:
            return
        self._uids[key] = parent.uid
        # From the last look at the store to the mark nothing is awaited: no other run sees the place as free.
        plan = parts.planner(await self._observe(parent), self._now())
        if plan.create_job is not None and parts.lines is not None:
            parts.lines.starting(key)
        done = await parts.executor.execute(parent, plan)
        if done.complete:
            parts.effects.request(key, plan.effects)
            if plan.settled and not plan.effects:
                self._settle(parent)
        if done.again_after_seconds is not None:
            parts.queue.add(key, parts.store.priority(key), max(done.again_after_seconds, 0.01))

    async def _observe(self, parent: Parent) -> Observed:
        observed = self._parts.observer.observe(parent)
        if isinstance(observed, ObservedModel):
            return observed
        foreign = [job.name for job in observed.jobs.values() if job.owner_uid != parent.uid]
        for name in foreign:
            await self._parts.executor.look_again(parent.key.namespace, name)
        return self._parts.observer.observe(parent) if foreign else observed

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker: this runs in a task
        while task in self._workers:
            key = await self._parts.queue.get()
            self._busy.add(task)
            try:
                with about(key), self._parts.metrics.reconcile_seconds.labels(key.kind).time():
                    await self._guarded(key)
            finally:
                self._busy.discard(task)
                self._parts.queue.done(key)

    async def _guarded(self, key: Key) -> None:
        queue, priority = self._parts.queue, self._parts.store.priority(key)
        try:
            await self.reconcile(key)
        except KubeError as error:
            seconds = queue.failed(key, priority, error.retry_after_seconds or 0.0)
            log.warning("tried again in %.1f s: %s", seconds, error)
            self._count(key, error)
        except ValidationError as error:
            fields = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            log.exception("the resource cannot be read, it is left alone: %s", fields)
            queue.add(key, priority, UNREADABLE_SECONDS)
            self._count(key, error)
        except Exception as error:
            # A defect of ours must not stop the other resources.
            seconds = queue.failed(key, priority)
            log.exception("tried again in %.1f s", seconds)
            self._count(key, error)
        else:
            queue.succeeded(key)

    def _count(self, key: Key, error: Exception) -> None:
        self._parts.metrics.reconcile_errors.labels(key.kind, type(error).__name__).inc()

    def _settle(self, parent: Parent) -> None:
        self._parts.outcomes.release(parent.key)
        self._parts.store.forget_tombstones(parent.key.namespace, parent.uid)
        self._parts.progress.forget(parent.uid)

    def _forget(self, key: Key) -> None:
        uid = self._uids.pop(key, None)
        self._parts.outcomes.release(key)
        self._parts.executor.forget(key)
        self._parts.queue.succeeded(key)
        if uid is not None:
            self._parts.progress.forget(uid)
            self._parts.store.forget_tombstones(key.namespace, uid)
