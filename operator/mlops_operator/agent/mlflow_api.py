"""The part of MLflow's REST API that training code calls, answered from the local store.

The calls are those that clients 2.14 to 3.17 were seen to make. Every experiment name is one experiment: which one a
run belongs to is said by its spec. Artifacts do not pass here: their URI is a local folder.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from mlops_operator.agent.mlflow_errors import ApiError, missing
from mlops_operator.agent.mlflow_registry import Registry
from mlops_operator.agent.mlflow_search import conditions, holds, ordered
from mlops_operator.agent.tracking import LoggedModel, Point, TrackedRun, Tracking, now_ms

# What MLflow's own server would say; clients 3.x compare it with what they need.
SERVER_VERSION = "3.17.2"
EXPERIMENT_ID = "1"

Json = dict[str, Any]
_PREFIX = re.compile(r"^/(?:ajax-)?api/[23]\.0/(?:preview/)?mlflow/")
_MODEL_PATH = re.compile(
    r"^logged-models/(?P<id>[^/]+)(?:/(?P<part>tags|params|artifacts/directories)(?:/(?P<key>.+))?)?$"
)
_EQUALS = re.compile(r"([\w.]+)\s*=\s*'([^']*)'")
_DELETED = "LOGGED_MODEL_DELETED"
_HISTORY_LIMIT = 25_000


class MlflowApi:
    """Answers calls from the store.

    Parameters
    ----------
    experiment
        Name of the experiment where a client asks by id.
    """

    def __init__(self, tracking: Tracking, experiment: str) -> None:
        self._tracking = tracking
        self._experiment = experiment
        self._routes: dict[tuple[str, str], Callable[[Json], Json]] = {
            ("GET", "experiments/get-by-name"): self._experiment_by_name,
            ("GET", "experiments/get"): lambda _: {"experiment": self._as_experiment(self._experiment)},
            ("POST", "experiments/create"): self._create_experiment,
            ("POST", "experiments/search"): self._search_experiments,
            ("GET", "experiments/search"): self._search_experiments,
            ("POST", "experiments/set-experiment-tag"): _nothing,
            ("POST", "experiments/delete-experiment-tag"): _nothing,
            ("POST", "experiments/update"): _nothing,
            ("POST", "experiments/delete"): _nothing,
            ("POST", "experiments/restore"): _nothing,
            ("POST", "runs/create"): self._create_run,
            ("GET", "runs/get"): lambda query: {"run": _as_run(self._run(query))},
            ("POST", "runs/update"): self._update_run,
            ("POST", "runs/delete"): lambda body: self._mark(body, deleted=True),
            ("POST", "runs/restore"): lambda body: self._mark(body, deleted=False),
            ("POST", "runs/search"): self._search_runs,
            ("POST", "runs/log-metric"): self._log_metric,
            ("POST", "runs/log-parameter"): self._log_parameter,
            ("POST", "runs/log-batch"): self._log_batch,
            ("POST", "runs/set-tag"): self._set_tag,
            ("POST", "runs/delete-tag"): self._delete_tag,
            ("POST", "runs/log-inputs"): self._log_inputs,
            ("POST", "runs/outputs"): self._log_outputs,
            ("POST", "runs/log-model"): self._log_model_of_run,
            ("GET", "metrics/get-history"): self._history,
            ("POST", "logged-models"): self._create_model,
            ("POST", "logged-models/search"): self._search_models,
            **Registry(tracking).routes(),
        }

    def answer(self, method: str, path: str, body: Json) -> Json:
        """Answer a call; ``body`` is its JSON, or its query.

        Raises
        ------
        ApiError
            The call is unknown, or what it names is.
        """
        call = _PREFIX.sub("", path)
        route = self._routes.get((method, call)) if call != path else None
        try:
            if route is not None:
                return route(body)
            if call != path and (match := _MODEL_PATH.match(call)):
                return self._of_model(
                    method, match["id"], match["part"], body | ({"key": match["key"]} if match["key"] else {})
                )
        except (KeyError, TypeError, ValueError) as error:
            raise ApiError(
                400, "INVALID_PARAMETER_VALUE", f"{call}: not understood ({type(error).__name__}: {error})"
            ) from error
        raise ApiError(
            404, "ENDPOINT_NOT_FOUND", f"{method} {path} is not answered within a run of the operator"
        )

    # --- experiments ------------------------------------------------------------------------------------------

    def _as_experiment(self, name: str) -> Json:
        return {
            "experiment_id": EXPERIMENT_ID,
            "name": name,
            "artifact_location": self._tracking.artifact_folder(self._tracking.run_id).parent.as_uri(),
            "lifecycle_stage": "active",
            "creation_time": 0,
            "last_update_time": 0,
            "tags": [],
        }

    def _experiment_by_name(self, query: Json) -> Json:
        return {"experiment": self._as_experiment(query["experiment_name"])}

    def _create_experiment(self, _: Json) -> Json:
        return {"experiment_id": EXPERIMENT_ID}

    def _search_experiments(self, _: Json) -> Json:
        return {"experiments": [self._as_experiment(self._experiment)]}

    # --- runs -------------------------------------------------------------------------------------------------

    def _run(self, body: Json) -> TrackedRun:
        run_id = body.get("run_id") or body.get("run_uuid")
        run = self._tracking.runs.get(str(run_id))
        if run is None:
            raise missing(f"run {run_id}")
        return run

    def _create_run(self, body: Json) -> Json:
        tags = {str(tag["key"]): str(tag.get("value", "")) for tag in body.get("tags", [])}
        start = body.get("start_time")
        run = self._tracking.create_run(
            body.get("run_name"), tags, int(start) if start else None, str(body.get("user_id") or "mlops")
        )
        return {"run": _as_run(run)}

    def _update_run(self, body: Json) -> Json:
        end = body.get("end_time")
        run = self._tracking.update_run(
            self._run(body).run_id,
            status=body.get("status"),
            end_ms=int(end) if end else None,
            name=body.get("run_name"),
        )
        return {"run_info": _as_run(run)["info"]}

    def _search_runs(self, body: Json) -> Json:
        wanted = conditions(body.get("filter") or "")
        view = str(body.get("run_view_type") or "ACTIVE_ONLY")
        known = [
            run
            for run in list(self._tracking.runs.values())
            if view == "ALL" or run.deleted == (view == "DELETED_ONLY")
        ]
        runs = [run for run in known if all(holds(run, *c) for c in wanted)]
        runs.sort(key=lambda run: -run.start_ms)
        for order in reversed(body.get("order_by") or []):
            runs = ordered(runs, order)
        return {"runs": [_as_run(run) for run in runs[: int(body.get("max_results") or 1000)]]}

    def _log_metric(self, body: Json) -> Json:
        self._tracking.log(self._run(body).run_id, [_as_point(body)])
        return {}

    def _log_parameter(self, body: Json) -> Json:
        self._set_params(self._run(body), {str(body["key"]): str(body.get("value", ""))})
        return {}

    def _log_batch(self, body: Json) -> Json:
        run = self._run(body)
        points = [_as_point(metric) for metric in body.get("metrics", [])]
        self._set_params(run, {str(p["key"]): str(p.get("value", "")) for p in body.get("params", [])})
        tags = {str(tag["key"]): str(tag.get("value", "")) for tag in body.get("tags", [])}
        self._tracking.log(run.run_id, points, tags=tags)
        return {}

    def _set_params(self, run: TrackedRun, params: dict[str, str]) -> None:
        for key, value in params.items():
            if run.params.get(key, value) != value:
                raise ApiError(
                    400,
                    "INVALID_PARAMETER_VALUE",
                    f"Changing param values is not allowed. Param with key={key!r} was already logged with"
                    f" value={run.params[key]!r} for run ID={run.run_id!r}. Attempted logging new value {value!r}.",
                )
        if params:
            self._tracking.log(run.run_id, params=params)

    def _set_tag(self, body: Json) -> Json:
        self._tracking.log(self._run(body).run_id, tags={str(body["key"]): str(body.get("value", ""))})
        return {}

    def _delete_tag(self, body: Json) -> Json:
        self._tracking.delete_tag(self._run(body).run_id, str(body["key"]))
        return {}

    def _mark(self, body: Json, *, deleted: bool) -> Json:
        self._tracking.mark_run(self._run(body).run_id, deleted=deleted)
        return {}

    def _log_inputs(self, body: Json) -> Json:
        self._tracking.log_inputs(
            self._run(body).run_id, datasets=body.get("datasets"), models=body.get("models")
        )
        return {}

    def _log_outputs(self, body: Json) -> Json:
        self._tracking.log_inputs(self._run(body).run_id, outputs=body.get("models"))
        return {}

    def _history(self, query: Json) -> Json:
        run, name = self._run(query), query.get("metric_key")
        metrics = []
        for run_id, point in self._tracking.history():
            if run_id == run.run_id and point.name == name:
                metrics.append(_as_metric(point))
            if len(metrics) >= _HISTORY_LIMIT:
                break
        return {"metrics": metrics}

    # --- models -----------------------------------------------------------------------------------------------

    def _log_model_of_run(self, body: Json) -> Json:
        """2.x: the model lies below the run's artifacts."""
        run = self._run(body)
        model = json.loads(body["model_json"])
        path = str(model["artifact_path"])
        folder = self._tracking.artifact_folder(run.run_id) / path
        self._tracking.log_model(
            LoggedModel(
                model_id=model.get("model_uuid") or f"{run.run_id}-{path}",
                name=path,
                run_id=run.run_id,
                folder=folder,
                created_ms=now_ms(),
            )
        )
        return {}

    def _create_model(self, body: Json) -> Json:
        model_id = f"m-{uuid.uuid4().hex}"
        model = LoggedModel(
            model_id=model_id,
            name=str(body.get("name") or "model"),
            run_id=str(body.get("source_run_id") or ""),
            folder=self._tracking.model_folder(model_id),
            created_ms=now_ms(),
            status="LOGGED_MODEL_PENDING",
            model_type=str(body.get("model_type") or ""),
            tags=_pairs(body.get("tags")),
            params=_pairs(body.get("params")),
        )
        self._tracking.log_model(model)
        return {"model": _as_model(model)}

    def _search_models(self, body: Json) -> Json:
        """Only conditions of equality on name, model_id, source_run_id and tags are judged; others give every model."""
        wanted = _EQUALS.findall(str(body.get("filter") or ""))
        models = [
            model
            for model in list(self._tracking.logged_models.values())
            if model.status != _DELETED
            and all(_model_value(model, key) in (None, value) for key, value in wanted)
        ]
        models.sort(key=lambda model: -model.created_ms)
        return {"models": [_as_model(model) for model in models[: int(body.get("max_results") or 1000)]]}

    def _of_model(self, method: str, model_id: str, part: str | None, body: Json) -> Json:
        model = self._tracking.logged_models.get(model_id)
        if model is None:
            raise missing(f"logged model {model_id}")
        if (method, part) == ("GET", None):
            return {"model": _as_model(model)}
        if part == "tags" and method in ("PATCH", "POST"):
            model.tags.update(_pairs(body.get("tags")))
        elif part == "params" and method in ("PATCH", "POST"):
            model.params.update(_pairs(body.get("params")))
        elif (method, part) == ("DELETE", "tags"):
            model.tags.pop(unquote(str(body["key"])), None)
        elif (method, part) == ("DELETE", None):
            model.status = _DELETED
        elif (method, part) == ("PATCH", None):
            model.status = str(body.get("status") or model.status)
        else:
            raise ApiError(404, "ENDPOINT_NOT_FOUND", f"{method} logged-models/…/{part} is not answered here")
        self._tracking.log_model(model)
        return {"model": _as_model(model)}


def _nothing(_: Json) -> Json:
    return {}


def _pairs(items: list[Json] | None) -> dict[str, str]:
    return {str(item["key"]): str(item.get("value", "")) for item in items or []}


def _as_point(body: Json) -> Point:
    """Read a metric; a double may come as "NaN" or "Infinity", a 64-bit integer as a string."""
    timestamp = int(body.get("timestamp") or 0) or now_ms()
    return Point(str(body["key"]), float(body["value"]), int(body.get("step") or 0), timestamp)


def _as_number(value: float) -> float | str:
    if value != value:  # noqa: PLR0124 - NaN
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _as_metric(point: Point) -> Json:
    return {
        "key": point.name,
        "value": _as_number(point.value),
        "step": point.step,
        "timestamp": point.timestamp_ms,
    }


def _as_run(run: TrackedRun) -> Json:
    info = {
        "run_id": run.run_id,
        "run_uuid": run.run_id,
        "run_name": run.name,
        "experiment_id": EXPERIMENT_ID,
        "user_id": run.user,
        "status": run.status,
        "start_time": run.start_ms,
        "artifact_uri": run.artifact_uri,
        "lifecycle_stage": "deleted" if run.deleted else "active",
    }
    if run.end_ms is not None:
        info["end_time"] = run.end_ms
    return {
        "info": info,
        "data": {
            "metrics": [_as_metric(point) for point in list(run.latest.values())],
            "params": [{"key": key, "value": value} for key, value in list(run.params.items())],
            "tags": [{"key": key, "value": value} for key, value in list(run.tags.items())],
        },
        "inputs": {"dataset_inputs": run.datasets, "model_inputs": run.models},
        "outputs": {"model_outputs": run.outputs},
    }


def _model_value(model: LoggedModel, key: str) -> str | None:
    key = key.removeprefix("attributes.")
    if key.startswith("tags."):
        return model.tags.get(key.removeprefix("tags."), "")
    values = {"name": model.name, "model_id": model.model_id, "source_run_id": model.run_id}
    return values.get(key, model.params.get(key.removeprefix("params.")))


def _as_model(model: LoggedModel) -> Json:
    return {
        "info": {
            "model_id": model.model_id,
            "experiment_id": EXPERIMENT_ID,
            "name": model.name,
            "creation_timestamp_ms": model.created_ms,
            "last_updated_timestamp_ms": model.created_ms,
            "artifact_uri": model.folder.as_uri(),
            "status": model.status,
            "model_type": model.model_type,
            "source_run_id": model.run_id,
            "tags": [{"key": key, "value": value} for key, value in model.tags.items()],
        },
        "data": {"params": [{"key": key, "value": value} for key, value in model.params.items()]},
    }
