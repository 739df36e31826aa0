"""Runs of the sidecar's store on the remote MLflow server: each gets one there, and what was logged goes in batches."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mlops_operator.agent.remote_mlflow import Json, Refused, RemoteMlflow
from mlops_operator.agent.tracking import PARENT_TAG

# Tells a run that we made from one that the code made there itself; its value is the run's id in the pod.
FORWARDED_TAG = "mlops.eoepca.org/forwarded-run"
# What MLflow's server takes in one call.
MAX_METRICS, MAX_PARAMS, MAX_TAGS = 1000, 100, 100
# Of MLflow 2.14; later ones take more.
_MAX_PARAM_LENGTH, _MAX_TAG_LENGTH = 6000, 5000
# So often is a batch halved in search of what the server does not take; then the rest of it is left out.
_MAX_SPLITS = 200
_NOT_IN_NAMES = re.compile(r"[^/\w.\- ]")
_OWN_TAGS = frozenset({"mlflow.runName", PARENT_TAG})

Batch = list[dict[str, Any]]


@dataclass
class RemoteRuns:
    """What is known of the remote side; written down after each step (`Forwarding`)."""

    experiment_id: str | None = None
    ids: dict[str, str] = field(default_factory=dict)  # ours: theirs
    artifacts: dict[str, str] = field(default_factory=dict)  # theirs: artifact URI


class RunForwarder:
    """Brings records of the journal to the server; every call may be repeated.

    Parameters
    ----------
    tags
        Put on every run.
    describe
        Gives the creating record of one of our runs (name, tags, at, user).
    warn
        Says what was left out.
    """

    def __init__(
        self,
        remote: RemoteMlflow,
        experiment: str,
        tags: dict[str, str],
        describe: Callable[[str], dict[str, Any] | None],
        warn: Callable[[str], None],
    ) -> None:
        self._remote = remote
        self._experiment = experiment
        self._tags = tags
        self._describe = describe
        self._warn = warn
        self.known = RemoteRuns()
        self._splits = 0

    def run(self, ours: str) -> str:
        """Give the id of the run there, making it where it is not yet."""
        if ours not in self.known.ids:
            info = self._find(ours) or self._create(ours)
            self.known.artifacts[info["run_id"]] = info["artifact_uri"]
            self.known.ids[ours] = info["run_id"]
        return self.known.ids[ours]

    def send(self, records: Batch) -> None:
        """Send records of any runs, in their order."""
        self._splits = 0
        for ours, part in _by_run(records):
            self._say_what_is_cut(part)
            run_id = self.run(ours)
            for body in _bodies(part):
                self._log({"run_id": run_id, **body})
            for record in part:
                self._send_single(run_id, record)

    def end(self, ours: str, status: str, end_ms: int) -> None:
        """Say how a run ended that did not say so itself."""
        self._tell("runs/update", {"run_id": self.run(ours), "status": status, "end_time": end_ms})

    def log(self, ours: str, params: dict[str, str], tags: dict[str, str]) -> None:
        """Log what is not in the journal."""
        self.send([{"params": params, "of": ours}, {"tags": tags, "of": ours}])

    def page(self, ours: str) -> str | None:
        run_id = self.known.ids.get(ours)
        if run_id is None or self.known.experiment_id is None:
            return None
        return self._remote.page(self.known.experiment_id, run_id)

    def find_experiment(self) -> str:
        """Give the experiment's id, making it where it is not yet."""
        if self.known.experiment_id is None:
            self.known.experiment_id = self._find_experiment()
        return self.known.experiment_id

    # --- one thing each ---------------------------------------------------------------------------------------

    def _find_experiment(self) -> str:
        try:
            query = {"experiment_name": self._experiment}
            found = self._remote.call("GET", "experiments/get-by-name", query)
            return str(found["experiment"]["experiment_id"])
        except Refused as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise
        try:
            made = self._remote.call("POST", "experiments/create", {"name": self._experiment})
        except Refused as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
            return self._find_experiment()
        return str(made["experiment_id"])

    def _find(self, ours: str) -> Json | None:
        """Look for a run that a process before this one made, and could not write down."""
        body = {
            "experiment_ids": [self.find_experiment()],
            "filter": f"tags.`{FORWARDED_TAG}` = '{ours}'",
            "run_view_type": "ALL",
            "max_results": 1,
        }
        runs = self._remote.call("POST", "runs/search", body).get("runs", [])
        return dict(runs[0]["info"]) if runs else None

    def _create(self, ours: str) -> Json:
        record = self._describe(ours) or {}
        tags = {**record.get("tags", {}), **self._tags, FORWARDED_TAG: ours}
        parent = tags.get(PARENT_TAG)
        if parent is not None and self._describe(parent) is not None:
            tags[PARENT_TAG] = self.run(parent)
        body = {
            "experiment_id": self.find_experiment(),
            "run_name": record.get("name", ""),
            "user_id": record.get("user", ""),
            "start_time": record.get("at"),
            "tags": [{"key": key, "value": value[:_MAX_TAG_LENGTH]} for key, value in tags.items()],
        }
        return dict(self._remote.call("POST", "runs/create", body)["run"]["info"])

    def _log(self, body: Json) -> None:
        """Log a batch; of one that is refused for its content, all that is right."""
        try:
            self._remote.call("POST", "runs/log-batch", body)
        except Refused as error:
            if not error.of_content:
                raise
            parts = _halves(body) if self._splits < _MAX_SPLITS else []
            self._splits += 1
            if not parts:
                self._warn(f"{self._remote.uri} does not take {_named(body)}: {error}")
            for part in parts:
                self._log(part)

    def _say_what_is_cut(self, records: Batch) -> None:
        for record in records:
            for key, value in (record.get("params") or {}).items():
                if len(value) > _MAX_PARAM_LENGTH:
                    self._warn(
                        f"the parameter {key[:80]!r} has {len(value)} characters; {self._remote.uri} gets the first"
                        f" {_MAX_PARAM_LENGTH}"
                    )

    def _send_single(self, run_id: str, record: dict[str, Any]) -> None:
        match record:
            case {"update": _}:
                fields = {"status": record["status"], "end_time": record["end"], "run_name": record["name"]}
                body = {key: value for key, value in fields.items() if value}
                if body:
                    self._tell("runs/update", {"run_id": run_id, **body})
            case {"inputs": _} if record["datasets"]:
                self._tell("runs/log-inputs", {"run_id": run_id, "datasets": record["datasets"]})
            case {"untag": key}:
                self._tell("runs/delete-tag", {"run_id": run_id, "key": key})

    def _tell(self, path: str, body: Json) -> None:
        """Send what the rest does not depend on: refused for its content, it is left out."""
        try:
            self._remote.call("POST", path, body)
        except Refused as error:
            if not error.of_content:
                raise
            self._warn(f"{self._remote.uri} does not take {path}: {error}")


def run_of(record: dict[str, Any]) -> str | None:
    """Give the run that a record of the journal is about."""
    return next((record[key] for key in ("of", "run", "update", "inputs") if key in record), None)


def _by_run(records: Batch) -> Iterator[tuple[str, Batch]]:
    """Group records by their run; the order within a run stays."""
    groups: dict[str, Batch] = {}
    for record in records:
        ours = run_of(record)
        if ours is not None:
            groups.setdefault(str(ours), []).append(record)
    yield from groups.items()


def _bodies(records: Batch) -> Iterator[Json]:
    """Give the bodies of log-batch for what records of one run hold, none larger than a server takes."""
    metrics = [_metric(point) for record in records for point in record.get("m", ())]
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    for record in records:
        params.update(record.get("params") or {} if "model" not in record else {})
        tags.update(record.get("tags") or {} if {"model", "run"}.isdisjoint(record) else {})
        if "untag" in record:
            tags.pop(record["untag"], None)
    pairs = [
        [
            {"key": _NOT_IN_NAMES.sub("_", key), "value": value[:length]}
            for key, value in values.items()
            if key not in _OWN_TAGS
        ]
        for values, length in ((params, _MAX_PARAM_LENGTH), (tags, _MAX_TAG_LENGTH))
    ]
    count = max(
        math.ceil(len(metrics) / (MAX_METRICS - MAX_PARAMS - MAX_TAGS)),
        math.ceil(len(pairs[0]) / MAX_PARAMS),
        math.ceil(len(pairs[1]) / MAX_TAGS),
    )
    size = MAX_METRICS - MAX_PARAMS - MAX_TAGS
    for number in range(count):
        yield {
            "metrics": metrics[number * size : (number + 1) * size],
            "params": pairs[0][number * MAX_PARAMS : (number + 1) * MAX_PARAMS],
            "tags": pairs[1][number * MAX_TAGS : (number + 1) * MAX_TAGS],
        }


def _metric(point: list[Any]) -> Json:
    name, value, step, timestamp = point
    number: float | str = float(value)
    if not math.isfinite(float(value)):
        number = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(float(value))]
    return {"key": _NOT_IN_NAMES.sub("_", name), "value": number, "step": step, "timestamp": timestamp}


def _halves(body: Json) -> list[Json]:
    """Split a batch in two; nothing where it is a single value."""
    items = [(kind, item) for kind in ("params", "tags", "metrics") for item in body[kind]]
    if len(items) <= 1:
        return []
    parts = []
    for some in (items[: len(items) // 2], items[len(items) // 2 :]):
        part: Json = {"run_id": body["run_id"], "metrics": [], "params": [], "tags": []}
        for kind, item in some:
            part[kind].append(item)
        parts.append(part)
    return parts


def _named(body: Json) -> str:
    if sum(len(body[kind]) for kind in ("params", "tags", "metrics")) > 1:
        return "a batch with many wrong values"
    for kind, word in (("params", "parameter"), ("tags", "tag"), ("metrics", "metric")):
        if body[kind]:
            return f"the {word} {str(body[kind][0]['key'])[:80]!r}"
    return "an empty batch"
