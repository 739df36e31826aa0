"""Puts the operator together, and lives its life: list, lead, work, and end in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from mlops_operator.controller import health
from mlops_operator.controller.certificates import CertificateKeeper, Certificates
from mlops_operator.controller.effects import ByKind, EffectPool
from mlops_operator.controller.events import EventRecorder
from mlops_operator.controller.execute import Executor
from mlops_operator.controller.identity import own_identity
from mlops_operator.controller.keys import Key
from mlops_operator.controller.kube import LEASE_NAME, NAMESPACES, WATCHED, Kube
from mlops_operator.controller.lease import Election, Identity
from mlops_operator.controller.lines import Lines
from mlops_operator.controller.metrics import Metrics
from mlops_operator.controller.observe import Observer
from mlops_operator.controller.outcomes import Outcomes
from mlops_operator.controller.planning import DomainPlanner
from mlops_operator.controller.pod_trial import PodTrial
from mlops_operator.controller.progress import ProgressBoard
from mlops_operator.controller.progress_endpoint import ProgressEndpoint, RateLimit, TokenCache
from mlops_operator.controller.queue import WorkQueue
from mlops_operator.controller.reconcile import Parts, Reconciler
from mlops_operator.controller.refusals import OutcomeRefusals
from mlops_operator.controller.servers import server_context, serving, use
from mlops_operator.controller.storage_effects import StorageEffects
from mlops_operator.controller.store import Store
from mlops_operator.controller.transport import HttpTransport, KubeError, load_configuration
from mlops_operator.controller.trust import write_bundle
from mlops_operator.controller.watch import Watcher
from mlops_operator.controller.workspaces import Workspaces
from mlops_operator.domain.effects import TryPod
from mlops_operator.settings import Settings

log = logging.getLogger(__name__)

STOP_SECONDS: Final = 10.0
ROTATE_SECONDS: Final = 6 * 3600.0


@dataclass(frozen=True)
class Options:
    """How this process runs; what it does is in the settings."""

    namespace: str
    kubeconfig: Path | None = None
    workers: int = 16
    effect_threads: int = 8
    host: str = "0.0.0.0"  # noqa: S104 - probes and agents come from outside of the pod
    health_port: int = 8080
    progress_port: int = 8443


async def run(settings: Settings, options: Options) -> None:
    """Run until SIGTERM or SIGINT.

    Raises
    ------
    LeaseLostError
        Another one leads now: the process must end at once.
    MlopsError
        It cannot start.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with HttpTransport(await load_configuration(options.kubeconfig)) as transport:
        kube = Kube(transport)
        identity = await own_identity(kube, options.namespace, in_cluster=options.kubeconfig is None)
        await Operator(kube, identity, settings, options).live(stop)


class Operator:
    """All parts of one process."""

    def __init__(self, kube: Kube, identity: Identity, settings: Settings, options: Options) -> None:
        self._options = options
        self._settings = settings
        self._certificates: Certificates | None = None
        self._working = False
        self._queue = WorkQueue()
        # Without zones there is no line, and namespaces are not watched.
        lines = Lines(settings) if settings.zones else None
        self._store = Store(lines)
        self._metrics = Metrics(self._store, self._queue)
        self._election = Election(kube, options.namespace, LEASE_NAME, identity)
        self._keeper = CertificateKeeper(kube, options.namespace, self._hosts())
        watched = (*WATCHED, NAMESPACES) if settings.zones else WATCHED
        self._watchers = [Watcher(kube, resource, self._store, self._wake_all) for resource in watched]
        self._threads = ThreadPoolExecutor(options.effect_threads, thread_name_prefix="effect")
        self._tasks: set[asyncio.Task[Any]] = set()
        outcomes, progress = Outcomes(), ProgressBoard()
        storage = StorageEffects(self._workspaces(kube), self._threads, self._progress_ca)
        self._effects = EffectPool(
            ByKind({TryPod: PodTrial(kube).run}, storage),
            outcomes,
            wake=self._wake,
            count=self._metrics.count_effect,
            concurrency=2 * options.effect_threads,
        )
        executor = Executor(
            kube,
            self._store,
            EventRecorder(kube, str(identity)),
            self._election,
            OutcomeRefusals(outcomes),
            wake=self._wake,
            count_status_write=self._metrics.count_status_write,
        )
        self._reconciler = Reconciler(
            Parts(
                store=self._store,
                queue=self._queue,
                observer=Observer(self._store, progress, outcomes, lines),
                planner=DomainPlanner(settings),
                executor=executor,
                effects=self._effects,
                outcomes=outcomes,
                progress=progress,
                metrics=self._metrics,
                lines=lines,
            )
        )
        self._endpoint = ProgressEndpoint(
            TokenCache(kube.review_token),
            RateLimit(),
            progress,
            leading=lambda: self._working,
            owner_of_pod=self._store.owner_of_pod,
            wake=self._wake,
            count=lambda status: self._metrics.progress_reports.labels(str(status)).inc(),
        )

    async def live(self, stop: asyncio.Event) -> None:
        """Wait to lead, lead, and end in order when told to."""
        stopping = asyncio.create_task(stop.wait())
        async with AsyncExitStack() as stack:
            probes = health.application(self._why_not_ready, self._metrics.render)
            await stack.enter_async_context(serving(probes, self._options.host, self._options.health_port))
            stack.push_async_callback(self._end)
            synced = asyncio.Event()
            self._spawn(self._sync(synced))
            if not await self._until(stopping, self._spawn(self._election.acquire(synced))):
                return
            await self._lead(stack)
            await self._until(stopping, None)

    # --- phases of its life ----------------------------------------------------------------------------------

    async def _sync(self, synced: asyncio.Event) -> None:
        """List everything at once, then watch."""
        for watcher in self._watchers:
            self._spawn(watcher.run())
        await asyncio.gather(*(watcher.synced.wait() for watcher in self._watchers))
        # What was listed stays for long: the garbage collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        log.info("know the cluster: %d resources", sum(self._store.counts().values()))
        synced.set()

    async def _lead(self, stack: AsyncExitStack) -> None:
        self._metrics.leader.set(1)
        self._spawn(self._election.keep())
        tls = server_context()
        self._certificates = await self._keeper.load()
        use(tls, self._certificates)
        endpoint = self._endpoint.application()
        options = self._options
        await stack.enter_async_context(serving(endpoint, options.host, options.progress_port, tls))
        self._working = True
        for parent in self._store.parents():
            self._queue.add(parent.key, parent.priority)
        self._tasks.update(self._reconciler.start(options.workers))
        self._spawn(self._rotate(tls))
        for watcher in self._watchers:
            self._spawn(watcher.prune())

    async def _rotate(self, tls: Any) -> None:
        """Keep the certificate good."""
        while True:
            await asyncio.sleep(ROTATE_SECONDS)
            try:
                self._certificates = await self._keeper.load()
            except KubeError as error:
                log.warning("the certificate was not renewed yet: %s", error)
                continue
            use(tls, self._certificates)

    async def _end(self) -> None:
        """Take no more work, let what runs end, give the Lease back."""
        self._working = False
        if self._election.leading:
            log.info("stopping")
            await self._reconciler.stop(STOP_SECONDS)
            await self._effects.close(1.0)
            await self._election.release()
        self._metrics.leader.set(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- small things ----------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        return task

    async def _until(self, stopping: asyncio.Task[Any], goal: asyncio.Task[None] | None) -> bool:
        """Wait for a task, True, or to be told to stop, False; whatever breaks meanwhile ends the process."""
        while True:
            await asyncio.wait({stopping, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in self._tasks if task.done()]:
                self._tasks.discard(task)
                task.result()
                if task is goal:
                    return True
            if stopping.done():
                return False

    def _wake(self, key: Key) -> None:
        if self._working:
            self._queue.add(key, self._store.priority(key))

    def _wake_all(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._wake(key)

    def _why_not_ready(self) -> str | None:
        missing = [watcher.plural for watcher in self._watchers if not watcher.synced.is_set()]
        if missing:
            return f"not listed yet: {', '.join(missing)}"
        return None if self._working else "another one leads"

    def _progress_ca(self) -> str:
        return self._certificates.ca_bundle.decode() if self._certificates else ""

    def _workspaces(self, kube: Kube) -> Workspaces:
        extra = self._settings.ca_bundle
        return Workspaces(kube, self._settings, ca_bundle=str(write_bundle(extra)) if extra else None)

    def _hosts(self) -> list[str]:
        service = f"mlops-operator.{self._options.namespace}.svc"
        named = urlsplit(self._settings.progress.url).hostname
        return sorted({service, f"{service}.cluster.local", "localhost", *([named] if named else [])})
