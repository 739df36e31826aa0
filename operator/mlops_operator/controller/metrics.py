"""What Prometheus is told. No metric has a label of a name that a user chose."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from mlops_operator.controller.keys import Priority
from mlops_operator.controller.queue import WorkQueue
from mlops_operator.controller.store import Store

# Reasons beyond these are counted as Other, so that no status can blow up the number of series.
_MOST_REASONS = 32


class Metrics:
    """The operator's counters, in a registry of their own."""

    def __init__(self, store: Store, queue: WorkQueue) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(_Resources(store))
        self.registry.register(_Queue(queue))
        self.reconcile_seconds = Histogram(
            "mlops_reconcile_seconds",
            "Time of one reconcile.",
            ["kind"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        self.reconcile_errors = Counter(
            "mlops_reconcile_errors", "Reconciles that failed.", ["kind", "error"], registry=self.registry
        )
        self.status_writes = Counter(
            "mlops_status_writes", "Status writes.", ["kind"], registry=self.registry
        )
        self.effects = Counter(
            "mlops_effects",
            "Outside work by its outcome: ok, or the cause of its failure.",
            ["effect", "outcome"],
            registry=self.registry,
        )
        self.progress_reports = Counter(
            "mlops_progress_reports", "Reports of agents by HTTP status.", ["status"], registry=self.registry
        )
        self.leader = Gauge("mlops_leader", "1 while this process leads.", registry=self.registry)

    def count_status_write(self, kind: str) -> None:
        self.status_writes.labels(kind).inc()

    def count_effect(self, effect: str, outcome: str) -> None:
        self.effects.labels(effect, outcome).inc()

    def render(self) -> bytes:
        """Give the text format."""
        return generate_latest(self.registry)


class _Resources:
    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "mlops_resources",
            "Resources by kind and phase, and failed ones by reason.",
            labels=["kind", "phase", "reason"],
        )
        totals: dict[tuple[str, str, str], int] = {}
        for position, (labels, count) in enumerate(self._store.counts().most_common()):
            kind, phase, reason = labels
            bounded = (kind, phase, reason if position < _MOST_REASONS else "Other")
            totals[bounded] = totals.get(bounded, 0) + count
        for bounded, count in totals.items():
            family.add_metric(bounded, count)
        yield family


class _Queue:
    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterator[GaugeMetricFamily]:
        depth = GaugeMetricFamily("mlops_queue_depth", "Keys that wait, by priority.", labels=["priority"])
        for priority in Priority:
            depth.add_metric([priority.name.lower()], self._queue.depth()[priority])
        yield depth
        working = GaugeMetricFamily("mlops_queue_working", "Keys that are worked on.")
        working.add_metric([], self._queue.working())
        yield working
