"""What the training code tracked: runs, metrics, parameters, tags and models, in MLflow's terms.

The store is a small state in memory plus a journal. The history of the metrics is only in the journal, so memory does
not grow with the number of steps.
"""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_operator.agent.journal import Journal

PARENT_TAG = "mlflow.parentRunId"
_REMEMBERED_POINTS = 50_000
_MAX_METRIC_NAMES = 5_000
_MAX_NAME_LENGTH = 250
_MAX_INPUTS = 100


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Point:
    """A value of a metric at a step; ``timestamp_ms`` since 1970."""

    name: str
    value: float
    step: int
    timestamp_ms: int


@dataclass
class Summary:
    """A metric, summed up; ``min``, ``max`` and ``latest`` are of finite values."""

    latest: float | None = None
    min: float | None = None
    max: float | None = None
    step: int = 0
    non_finite: int = 0
    updated_ms: int = 0

    def add(self, point: Point) -> None:
        self.step = point.step
        self.updated_ms = max(self.updated_ms, point.timestamp_ms)
        if not math.isfinite(point.value):
            self.non_finite += 1
            return
        self.latest = point.value
        self.min = point.value if self.min is None else min(self.min, point.value)
        self.max = point.value if self.max is None else max(self.max, point.value)


@dataclass
class TrackedRun:
    """A run as an MLflow client sees it."""

    run_id: str
    name: str
    start_ms: int
    artifact_uri: str
    user: str = "mlops"
    status: str = "RUNNING"
    end_ms: int | None = None
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    latest: dict[str, Point] = field(default_factory=dict)
    # As clients wrote them: they only get them back.
    datasets: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    deleted: bool = False
    # Made by the code on the remote server, and brought here from there.
    copied: bool = False

    @property
    def nested(self) -> bool:
        return PARENT_TAG in self.tags


@dataclass(frozen=True)
class Registration:
    """A version that the code registered in MLflow's registry; ``source`` is where its files are."""

    name: str
    version: str
    source: str
    run_id: str
    model_id: str
    at_ms: int


@dataclass
class LoggedModel:
    """A model that ``log_model`` wrote; ``folder`` holds its MLmodel."""

    model_id: str
    name: str
    run_id: str
    folder: Path
    created_ms: int
    status: str = "LOGGED_MODEL_READY"
    model_type: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)


class Tracking:
    """The store. Every method may be called from any thread.

    Parameters
    ----------
    run_id, run_name
        Identity of our run: the first run that a client creates gets it.
    folder
        Where clients write artifacts.
    journal
        What an earlier process of this pod tracked; it is read, then appended to.
    """

    def __init__(self, *, run_id: str, run_name: str, folder: Path, journal: Journal) -> None:
        self.run_id = run_id
        self.run_name = run_name
        self._folder = folder
        self._journal = journal
        self._lock = threading.RLock()
        self._seen: OrderedDict[int, None] = OrderedDict()
        self.runs: dict[str, TrackedRun] = {}
        self.logged_models: dict[str, LoggedModel] = {}
        self.registered: dict[str, list[Registration]] = {}
        self.summaries: dict[str, Summary] = {}
        self.offsets: dict[str, int] = {}
        self.history_end = 0
        self.step: int | None = None
        self.changes = 0
        self.warnings: dict[str, None] = {}
        for record in journal.read():
            for name, _, step, timestamp in record.get("m", ()):
                self._is_new(record["of"], Point(name, 0.0, step, timestamp))
            self._apply(record)

    # --- writing ----------------------------------------------------------------------------------------------

    def create_run(
        self, name: str | None, tags: dict[str, str], start_ms: int | None, user: str
    ) -> TrackedRun:
        """Give our run to the first who asks, and a run of its own to every later one and to nested ones."""
        with self._lock:
            ours = self.run_id not in self.runs and PARENT_TAG not in tags
            run_id = self.run_id if ours else uuid.uuid4().hex
            self._write(
                {
                    "run": run_id,
                    "name": name or tags.get("mlflow.runName") or (self.run_name if ours else run_id[:8]),
                    "tags": tags,
                    "at": start_ms or now_ms(),
                    "user": user,
                }
            )
            return self.runs[run_id]

    def copy_run(self, run_id: str, name: str, tags: dict[str, str], start_ms: int) -> None:
        """Take in a run that the code made on the remote server."""
        with self._lock:
            self._write(
                {"run": run_id, "name": name, "tags": tags, "at": start_ms, "user": "", "copied": True}
            )

    def mark_run(self, run_id: str, *, deleted: bool) -> None:
        with self._lock:
            self._write({"mark": run_id, "deleted": deleted})

    def log_inputs(
        self,
        run_id: str,
        *,
        datasets: list[dict[str, Any]] | None = None,
        models: list[dict[str, Any]] | None = None,
        outputs: list[dict[str, Any]] | None = None,
    ) -> None:
        """Note what a run read and what it made, as the client says it."""
        with self._lock:
            record = {"inputs": run_id, "datasets": datasets or [], "models": models or []}
            self._write(record | {"outputs": outputs or []})

    def register_model(self, name: str) -> None:
        """Note a registered model that has no version yet."""
        with self._lock:
            self._write({"registry": name})

    def register(self, name: str, source: str = "", run_id: str = "", model_id: str = "") -> Registration:
        """Give the next version of a registered model."""
        with self._lock:
            record = {"registered": name, "source": source, "of": run_id, "id": model_id, "at": now_ms()}
            self._write(record)
            return self.registered[name][-1]

    def update_run(
        self, run_id: str, *, status: str | None = None, end_ms: int | None = None, name: str | None = None
    ) -> TrackedRun:
        with self._lock:
            run = self.runs[run_id]
            self._write({"update": run_id, "status": status, "end": end_ms, "name": name})
            return run

    def log(
        self,
        run_id: str,
        points: Iterable[Point] = (),
        params: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
    ) -> None:
        """Log for a run. A point that was logged already (same name, step and time) is dropped: log_model repeats."""
        with self._lock:
            records: list[dict[str, Any]] = []
            fresh = [point for point in points if self._is_new(run_id, point)]
            if fresh:
                records.append(
                    {"m": [[p.name, p.value, p.step, p.timestamp_ms] for p in fresh], "of": run_id}
                )
            if params:
                records.append({"params": params, "of": run_id})
            if tags:
                records.append({"tags": tags, "of": run_id})
            self._write(*records)

    def follow(self, source: str, points: list[Point], offset: int) -> None:
        """Log points of a followed file for our run; ``offset`` is where the next line of the file begins."""
        with self._lock:
            self._write(
                {
                    "m": [[p.name, p.value, p.step, p.timestamp_ms] for p in points],
                    "of": self.run_id,
                    "file": source,
                    "offset": offset,
                }
            )

    def delete_tag(self, run_id: str, key: str) -> None:
        with self._lock:
            self._write({"untag": key, "of": run_id})

    def log_model(self, model: LoggedModel) -> None:
        """Record a model, or what changed of it."""
        with self._lock:
            self._write(
                {
                    "model": model.model_id,
                    "name": model.name,
                    "of": model.run_id,
                    "folder": str(model.folder),
                    "at": model.created_ms,
                    "status": model.status,
                    "type": model.model_type,
                    "tags": model.tags,
                    "params": model.params,
                }
            )

    def history_uploaded(self, end: int) -> None:
        """Remember that the history up to this byte of the journal is in the bucket."""
        with self._lock:
            self._write({"uploaded": end})

    def warn(self, message: str) -> None:
        """Keep a sentence for the user, once; at most 20."""
        with self._lock:
            if message not in self.warnings and len(self.warnings) < 20:  # noqa: PLR2004
                self.warnings[message] = None
                self.changes += 1

    # --- reading ----------------------------------------------------------------------------------------------

    def summary(self, limit: int = 64) -> list[tuple[str, Summary]]:
        """Give the metrics of top-level runs, those changed last first."""
        with self._lock:
            newest = sorted(self.summaries.items(), key=lambda item: (-item[1].updated_ms, item[0]))
            return [(name, Summary(**vars(summary))) for name, summary in newest[:limit]]

    def history(self, start: int = 0, end: int | None = None) -> Iterator[tuple[str, Point]]:
        """Give run id and point of every metric logged, in order, from the journal."""
        for record in self._journal.read(start, self._journal.size_bytes if end is None else end):
            for name, value, step, timestamp in record.get("m", ()):
                yield record["of"], Point(name, float(value), step, timestamp)

    def records(self, start: int) -> Iterator[tuple[dict[str, Any], int]]:
        """Give everything that was tracked from byte ``start`` of the journal on, each with where the next begins."""
        yield from self._journal.read_on(start)

    @property
    def history_size(self) -> int:
        """Where the journal ends now, in bytes."""
        return self._journal.size_bytes

    def last_model(self) -> LoggedModel | None:
        """Give the model that was logged last and lies in its folder."""
        with self._lock:
            models = [model for model in self.logged_models.values() if (model.folder / "MLmodel").is_file()]
            return max(models, key=lambda model: model.created_ms, default=None)

    def artifact_folder(self, run_id: str) -> Path:
        return self._folder / "artifacts" if run_id == self.run_id else self._folder / "runs" / run_id

    def model_folder(self, model_id: str) -> Path:
        return self._folder / "models" / model_id / "artifacts"

    # --- state ------------------------------------------------------------------------------------------------

    def _is_new(self, run_id: str, point: Point) -> bool:
        key = hash((run_id, point.name, point.step, point.timestamp_ms))
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > _REMEMBERED_POINTS:
            self._seen.popitem(last=False)
        return True

    def _write(self, *records: dict[str, Any]) -> None:
        self._journal.append(list(records))
        for record in records:
            self._apply(record)

    def _apply(self, record: dict[str, Any]) -> None:
        self.changes += "uploaded" not in record
        match record:
            case {"m": points, "of": run_id}:
                self._add_points(run_id, [Point(n, float(v), s, t) for n, v, s, t in points])
                if "file" in record:
                    self.offsets[record["file"]] = record["offset"]
            case {"run": run_id}:
                self.runs[run_id] = TrackedRun(
                    run_id=run_id,
                    name=record["name"],
                    start_ms=record["at"],
                    artifact_uri=self.artifact_folder(run_id).as_uri(),
                    user=record["user"],
                    tags={**record["tags"], "mlflow.runName": record["name"]},
                    copied=record.get("copied", False),
                )
            case {"update": run_id}:
                self._update(self._run(run_id), record)
            case {"untag": key, "of": run_id}:
                self._run(run_id).tags.pop(key, None)
            case {"model": model_id}:
                self._add_model(model_id, record)
            case {"params": params, "of": run_id}:
                self._run(run_id).params.update(params)
            case {"tags": tags, "of": run_id}:
                self._run(run_id).tags.update(tags)
            case _:
                self._apply_rare(record)

    def _apply_rare(self, record: dict[str, Any]) -> None:
        match record:
            case {"mark": run_id, "deleted": deleted}:
                self._run(run_id).deleted = deleted
            case {"inputs": run_id}:
                run = self._run(run_id)
                run.datasets = _extended(run.datasets, record["datasets"])
                run.models = _extended(run.models, record["models"])
                run.outputs = _extended(run.outputs, record["outputs"])
            case {"registry": name}:
                self.registered.setdefault(name, [])
            case {"registered": name, "of": run_id}:
                versions = self.registered.setdefault(name, [])
                number = str(len(versions) + 1)
                versions.append(
                    Registration(name, number, record["source"], run_id, record["id"], record["at"])
                )
            case {"uploaded": end}:
                self.history_end = end

    def _run(self, run_id: str) -> TrackedRun:
        """Give a run; ours exists as soon as something is logged for it."""
        if run_id not in self.runs and run_id == self.run_id:
            uri = self.artifact_folder(run_id).as_uri()
            return TrackedRun(run_id=run_id, name=self.run_name, start_ms=now_ms(), artifact_uri=uri)
        return self.runs[run_id]

    @staticmethod
    def _update(run: TrackedRun, record: dict[str, Any]) -> None:
        run.status = record["status"] or run.status
        run.end_ms = record["end"] or run.end_ms
        if record["name"]:
            run.name = run.tags["mlflow.runName"] = record["name"]

    def _add_model(self, model_id: str, record: dict[str, Any]) -> None:
        self.logged_models[model_id] = LoggedModel(
            model_id=model_id,
            name=record["name"],
            run_id=record["of"],
            folder=Path(record["folder"]),
            created_ms=record["at"],
            status=record["status"],
            model_type=record["type"],
            tags=record["tags"],
            params=record["params"],
        )

    def _add_points(self, run_id: str, points: list[Point]) -> None:
        run = self._run(run_id)
        for point in points:
            if len(point.name) > _MAX_NAME_LENGTH or (
                point.name not in self.summaries and len(self.summaries) >= _MAX_METRIC_NAMES
            ):
                self.warn(
                    f"metrics with a name of more than {_MAX_NAME_LENGTH} characters, or beyond the"
                    f" {_MAX_METRIC_NAMES}th name, are only in the history"
                )
                continue
            latest = run.latest.get(point.name)
            if latest is None or (point.step, point.timestamp_ms) >= (latest.step, latest.timestamp_ms):
                run.latest[point.name] = point
            if not run.nested:
                self.summaries.setdefault(point.name, Summary()).add(point)
                self.step = max(self.step or 0, point.step)


def _extended(known: list[dict[str, Any]], more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return (known + [item for item in more if item not in known])[:_MAX_INPUTS]
