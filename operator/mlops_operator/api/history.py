"""What the index of the history says of a run: enough to list, filter and compare runs without reading each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlops_operator.api.base import Model, Scalar, Time
from mlops_operator.api.trainingrun import RerunOf, ResolvedDataset


class ObjectiveValue(Model):
    """The metric that the run was to improve, and the best that it reached."""

    name: str
    goal: str | None = None
    best: float | None = None
    step: int | None = None


class RunEntry(Model):
    """A run that has ended, in one line of the index; what is not known is left out."""

    schema_version: int = 1
    kind: str = "RunEntry"
    name: str
    namespace: str = ""
    uid: str
    generation: int = 0
    display_name: str | None = None
    archived: bool = False
    experiment: str | None = None
    rerun_of: RerunOf | None = None
    phase: str = ""
    reason: str | None = None  # how it ended: Succeeded, or the cause
    created_at: Time | None = None
    start_time: Time | None = None
    completion_time: Time | None = None
    parameters: dict[str, Scalar] = {}
    metrics: dict[str, float] = {}  # the last finite value of each
    objective: ObjectiveValue | None = None
    model: str | None = None  # the ModelVersion that the run made
    image: str | None = None  # with its digest, as it ran
    commit: str | None = None
    datasets: list[ResolvedDataset] = []
    uri: str | None = None
    recorded_at: Time | None = None

    @property
    def order(self) -> tuple[int, str, bool]:
        """Rises with each record of the same run."""
        at = self.recorded_at.isoformat() if self.recorded_at is not None else ""
        return self.generation, at, self.model is not None


def entry_of(run: Mapping[str, Any]) -> RunEntry:
    """Make the entry of a TrainingRun, given as its JSON: from the API server, or from ``run.json``.

    Raises
    ------
    pydantic.ValidationError, KeyError
        It is no TrainingRun.
    """
    metadata, spec, status = run["metadata"], run.get("spec") or {}, run.get("status") or {}
    resolved = status.get("resolved") or {}
    wish, best = (spec.get("metrics") or {}).get("objective"), status.get("objective")
    metrics = status.get("metrics") or []
    return RunEntry.model_validate(
        {
            "name": metadata["name"],
            "namespace": metadata.get("namespace", ""),
            "uid": metadata["uid"],
            "generation": metadata.get("generation", 0),
            "displayName": spec.get("displayName"),
            "archived": bool(spec.get("archived")),
            "experiment": spec.get("experiment"),
            "rerunOf": spec.get("rerunOf"),
            "phase": status.get("phase") or "",
            "reason": status.get("reason"),
            "createdAt": metadata.get("creationTimestamp"),
            "startTime": status.get("startTime"),
            "completionTime": status.get("completionTime"),
            "parameters": spec.get("parameters") or {},
            "metrics": {m["name"]: m["latest"] for m in metrics if m.get("latest") is not None},
            "objective": {**(wish or {}), **(best or {})} or None,
            "model": (status.get("model") or {}).get("name"),
            "image": resolved.get("image") or spec.get("image"),
            "commit": resolved.get("commit"),
            "datasets": resolved.get("datasets") or [],
            "uri": (status.get("storage") or {}).get("uri"),
        }
    )
