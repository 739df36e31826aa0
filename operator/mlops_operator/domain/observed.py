"""What a plan is made from: the resource, its children, and outcomes of outside work; all as seen now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mlops_operator.api.modelversion import ModelVersion
from mlops_operator.api.trainingdataset import TrainingDataset
from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.api.wire import ProgressReport
from mlops_operator.domain.effects import Effect, Outcome

Outcomes = Mapping[Effect, Outcome]


@dataclass(frozen=True)
class ContainerView:
    name: str
    image: str = ""  # imageID where known
    restart_count: int = 0
    waiting_reason: str | None = None
    waiting_message: str | None = None
    running_since: datetime | None = None
    exit_code: int | None = None  # set where terminated
    terminated_reason: str | None = None
    terminated_message: str | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True)
class PodView:
    """What a decision needs of a pod. ``gone``: a tombstone, the pod was deleted."""

    name: str
    uid: str
    phase: str
    job: str
    index: int = 0  # of the worker
    node_name: str | None = None
    created_at: datetime | None = None
    reason: str | None = None
    message: str | None = None
    deleting: bool = False
    gone_by: datetime | None = None  # where it is being deleted: when its grace ends
    stop_requested_at: datetime | None = None  # set where it is being deleted
    gone: bool = False
    conditions: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)  # type: status, reason, message
    init: tuple[ContainerView, ...] = ()
    containers: tuple[ContainerView, ...] = ()

    def container(self, name: str) -> ContainerView | None:
        return next((c for c in (*self.init, *self.containers) if c.name == name), None)


@dataclass(frozen=True)
class JobView:
    """What a decision needs of a Job. ``gone``: a tombstone, the Job was deleted."""

    name: str
    uid: str
    owner_uid: str | None  # of our label; None: the Job is not ours
    complete: bool = False
    failed: bool = False
    failing_since: datetime | None = None  # since then Kubernetes stops the pods that still run
    deleting: bool = False
    gone: bool = False
    finished_at: datetime | None = None


@dataclass(frozen=True)
class NamespaceView:
    """What a decision needs of a namespace: the value of its label for zones."""

    zone: str | None = None


@dataclass(frozen=True)
class Place:
    """Where a run that wants to start stands.

    Attributes
    ----------
    running
        How many runs hold a place, or are about to.
    ahead
        How many that wait go before it.
    waiting
        How many wait, itself among them.
    """

    zone: str
    limit: int
    running: int
    ahead: int
    waiting: int

    @property
    def may_start(self) -> bool:
        return self.ahead < self.limit - self.running


@dataclass(frozen=True)
class ObservedRun:
    run: TrainingRun
    jobs: Mapping[str, JobView] = field(
        default_factory=dict
    )  # by name; those of this run, and a foreign one of our name
    pods: tuple[PodView, ...] = ()  # of this run's Jobs, newest first
    datasets: Mapping[str, TrainingDataset] = field(default_factory=dict)  # by name; of the namespace
    model_versions: Mapping[str, ModelVersion] = field(default_factory=dict)  # made by this run, by name
    progress: ProgressReport | None = None  # the last one of the current attempt, of worker 0
    heard_at: datetime | None = None  # when it arrived
    newer_ended: int = 0  # runs of the namespace that ended alike, and later
    worker_progress: Mapping[int, ProgressReport] = field(default_factory=dict)  # of the other workers
    outcomes: Outcomes = field(default_factory=dict)
    namespace: NamespaceView | None = None  # where zones are configured, and it was seen
    place: Place | None = None  # in the line, where its zone has one and it does not run yet


@dataclass(frozen=True)
class ObservedDataset:
    dataset: TrainingDataset
    jobs: Mapping[str, JobView] = field(default_factory=dict)
    pods: tuple[PodView, ...] = ()
    outcomes: Outcomes = field(default_factory=dict)


@dataclass(frozen=True)
class ObservedModel:
    model_version: ModelVersion
    run: TrainingRun | None = None  # the run that its source names, if it is still there
    outcomes: Outcomes = field(default_factory=dict)
