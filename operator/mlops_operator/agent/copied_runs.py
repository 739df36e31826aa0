"""Runs that the code makes on the remote server itself, past the sidecar: found by their tag and copied.

A script that names its own tracking URI logs to that server. Its runs carry the tags of MLFLOW_RUN_CONTEXT, as clients
put them on every run; those that the sidecar made there carry one more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mlops_operator.agent.forwarded_runs import FORWARDED_TAG
from mlops_operator.agent.remote_mlflow import Json, RemoteMlflow
from mlops_operator.agent.tracking import Point, TrackedRun, Tracking
from mlops_operator.api.wire import ATTEMPT_TAG, RUN_UID_TAG, RunIdentity

_EXPERIMENTS_PER_SEARCH = 100
_MAX_EXPERIMENTS = 1000
_MAX_RUNS = 200
_HISTORY_PAGE = 25_000


@dataclass
class _Seen:
    """How far a metric of a run was copied: the time of its newest points, and which those are."""

    time_ms: int = -1
    there: set[tuple[int, str]] = field(default_factory=set)

    def is_new(self, point: Point) -> bool:
        return point.timestamp_ms > self.time_ms or (
            point.timestamp_ms == self.time_ms and (point.step, repr(point.value)) not in self.there
        )

    def add(self, point: Point) -> None:
        if point.timestamp_ms > self.time_ms:
            self.time_ms, self.there = point.timestamp_ms, set()
        self.there.add((point.step, repr(point.value)))


class RunCopier:
    """Copies runs with our tag into the store; ``copy`` may be called at any time, and brings what is new.

    Parameters
    ----------
    experiment_id
        Gives the experiment that is looked at first.
    """

    def __init__(
        self, remote: RemoteMlflow, experiment_id: Callable[[], str], run: RunIdentity, tracking: Tracking
    ) -> None:
        self._remote = remote
        self._experiment_id = experiment_id
        self._run = run
        self._tracking = tracking
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._experiments: dict[str, str] = {}  # of a copied run
        self._recall()

    def copy(self) -> None:
        """Look for runs, and bring what is new of them."""
        for found in self._search():
            self._copy(found)

    def first(self) -> tuple[str, str] | None:
        """Give id and page of the first run that the code made there."""
        copied = (run for run in list(self._tracking.runs.values()) if run.copied and not run.nested)
        run = min(copied, key=lambda run: run.start_ms, default=None)
        if run is None:
            return None
        return run.run_id, self._remote.page(self._experiments.get(run.run_id, ""), run.run_id)

    def _recall(self) -> None:
        """See what a process before this one copied."""
        copied = {run.run_id for run in self._tracking.runs.values() if run.copied}
        if not copied:
            return
        for run_id, point in self._tracking.history():
            if run_id in copied:
                self._seen.setdefault((run_id, point.name), _Seen()).add(point)

    def _search(self) -> Iterator[Json]:
        ours = f"tags.`{RUN_UID_TAG}` = '{self._run.uid}' and tags.`{ATTEMPT_TAG}` = '{self._run.attempt}'"
        for ids in self._experiment_ids():
            body = {
                "experiment_ids": ids,
                "filter": ours,
                "max_results": _MAX_RUNS,
                "order_by": ["attributes.start_time ASC"],
            }
            for run in self._remote.call("POST", "runs/search", body).get("runs", []):
                if FORWARDED_TAG not in _pairs(run, "tags"):
                    yield run

    def _experiment_ids(self) -> Iterator[list[str]]:
        """Ours, then all that are there: which one the code names is not known."""
        first = self._experiment_id()
        body = {"max_results": _MAX_EXPERIMENTS, "view_type": "ACTIVE_ONLY"}
        found = self._remote.call("POST", "experiments/search", body).get("experiments", [])
        ids = list(dict.fromkeys([first, *(str(experiment["experiment_id"]) for experiment in found)]))
        for start in range(0, len(ids), _EXPERIMENTS_PER_SEARCH):
            yield ids[start : start + _EXPERIMENTS_PER_SEARCH]

    def _copy(self, found: Json) -> None:
        info = found["info"]
        run_id = str(info["run_id"])
        self._experiments[run_id] = str(info["experiment_id"])
        if run_id not in self._tracking.runs:
            name = str(info.get("run_name") or run_id[:8])
            self._tracking.copy_run(run_id, name, _pairs(found, "tags"), int(info.get("start_time") or 0))
        known = self._tracking.runs[run_id]
        params = {k: v for k, v in _pairs(found, "params").items() if k not in known.params}
        points = [
            point
            for metric in found.get("data", {}).get("metrics", [])
            for point in self._new(run_id, metric)
        ]
        if params or points:
            self._tracking.log(run_id, points, params=params)
        for point in points:
            self._seen[run_id, point.name].add(point)
        self._copy_end(known, info)

    def _copy_end(self, known: TrackedRun, info: Json) -> None:
        status = str(info.get("status") or known.status)
        if status != known.status:
            end = int(info["end_time"]) if info.get("end_time") else None
            self._tracking.update_run(known.run_id, status=status, end_ms=end)

    def _new(self, run_id: str, metric: Json) -> list[Point]:
        """Give the points of a metric that are not here yet; its history is asked for only if its last one is new."""
        latest = _as_point(metric)
        seen = self._seen.setdefault((run_id, latest.name), _Seen())
        if not seen.is_new(latest):
            return []
        return [point for point in self._history(run_id, latest.name) if seen.is_new(point)]

    def _history(self, run_id: str, name: str) -> Iterator[Point]:
        query = {"run_id": run_id, "metric_key": name, "max_results": _HISTORY_PAGE}
        while True:
            answer = self._remote.call("GET", "metrics/get-history", query)
            yield from map(_as_point, answer.get("metrics", []))
            if not answer.get("next_page_token"):
                return
            query["page_token"] = answer["next_page_token"]


def _as_point(metric: Json) -> Point:
    return Point(
        str(metric["key"]),
        float(metric.get("value") or 0.0),
        int(metric.get("step") or 0),
        int(metric.get("timestamp") or 0),
    )


def _pairs(run: Json, kind: str) -> dict[str, str]:
    return {str(item["key"]): str(item.get("value", "")) for item in run.get("data", {}).get(kind, [])}
