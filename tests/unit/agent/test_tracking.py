"""The store behind the MLflow endpoint."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from mlops_operator.agent.history import next_part, render
from mlops_operator.agent.journal import Journal
from mlops_operator.agent.mlflow_api import MlflowApi
from mlops_operator.agent.mlflow_errors import ApiError
from mlops_operator.agent.tracking import Point, Tracking
from tests.unit.agent.follow.test_json_lines import make_tracking

OURS = "a" * 32
P = "/api/2.0/mlflow/"


@pytest.fixture
def tracking(tmp_path: Path) -> Tracking:
    return make_tracking(tmp_path)


@pytest.fixture
def api(tracking: Tracking) -> MlflowApi:
    return MlflowApi(tracking, "wine")


def _create(api: MlflowApi, **body: Any) -> str:
    return str(api.answer("POST", P + "runs/create", body)["run"]["info"]["run_id"])


def test_the_first_run_is_ours_and_later_and_nested_ones_are_not(api: MlflowApi) -> None:
    nested = _create(api, tags=[{"key": "mlflow.parentRunId", "value": OURS}])
    assert nested != OURS
    assert _create(api) == OURS
    assert _create(api) not in (OURS, nested)


def test_artifacts_never_cross_http(api: MlflowApi, tmp_path: Path) -> None:
    run = api.answer("POST", P + "runs/create", {})["run"]
    assert run["info"]["artifact_uri"] == (tmp_path / "mlflow" / "artifacts").as_uri()


def test_a_point_logged_twice_counts_once(api: MlflowApi, tracking: Tracking) -> None:
    _create(api)
    metric = {"key": "loss", "value": 0.5, "step": 1, "timestamp": 10}
    api.answer("POST", P + "runs/log-metric", metric | {"run_id": OURS})
    api.answer("POST", P + "runs/log-batch", {"run_id": OURS, "metrics": [metric, metric | {"step": 2}]})
    history = api.answer("GET", P + "metrics/get-history", {"run_id": OURS, "metric_key": "loss"})["metrics"]
    assert [point["step"] for point in history] == [1, 2]


def test_it_counts_once_over_a_restart_too(tmp_path: Path) -> None:
    for _ in range(2):
        tracking = make_tracking(tmp_path)
        tracking.log(OURS, [Point("loss", 1.0, 1, 10)])
    assert len(list(tracking.history())) == 1


def test_summaries_leave_out_what_is_not_finite_and_nested_runs(tracking: Tracking, api: MlflowApi) -> None:
    _create(api)
    nested = _create(api, tags=[{"key": "mlflow.parentRunId", "value": OURS}])
    tracking.log(OURS, [Point("loss", value, step, step) for step, value in enumerate((2.0, 1.0, math.nan))])
    tracking.log(nested, [Point("loss", 99.0, 9, 9), Point("other", 1.0, 0, 0)])
    ((name, summary),) = tracking.summary()
    assert (name, summary.latest, summary.min, summary.max) == ("loss", 1.0, 1.0, 2.0)
    assert (summary.non_finite, summary.step) == (1, 2)


def test_at_most_64_metrics_are_summed_up_the_newest_first(tracking: Tracking) -> None:
    tracking.log(OURS, [Point(f"m{n}", 1.0, 0, n + 1) for n in range(100)])
    summary = tracking.summary()
    assert len(summary) == 64
    assert summary[0][0] == "m99"


def test_nan_is_a_string_for_clients(api: MlflowApi, tracking: Tracking) -> None:
    _create(api)
    api.answer("POST", P + "runs/log-metric", {"run_id": OURS, "key": "a", "value": "NaN", "timestamp": "5"})
    run = api.answer("GET", P + "runs/get", {"run_id": OURS})["run"]
    assert run["data"]["metrics"][0]["value"] == "NaN"
    assert b'"value":"-Infinity"' in render(OURS, Point("a", -math.inf, 0, 0))


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    api = MlflowApi(make_tracking(tmp_path), "wine")
    _create(api, run_name="first", tags=[{"key": "a", "value": "1"}])
    api.answer(
        "POST",
        P + "runs/log-batch",
        {
            "run_id": OURS,
            "params": [{"key": "lr", "value": "0.1"}],
            "tags": [{"key": "b", "value": "2"}],
            "metrics": [{"key": "loss", "value": 1, "step": 0, "timestamp": 3}],
        },
    )
    model = api.answer("POST", P + "logged-models", {"name": "m", "source_run_id": OURS})["model"]["info"]
    api.answer("PATCH", P + f"logged-models/{model['model_id']}", {"status": "LOGGED_MODEL_READY"})
    before = api.answer("GET", P + "runs/get", {"run_id": OURS})

    again = MlflowApi(make_tracking(tmp_path), "wine")

    assert again.answer("GET", P + "runs/get", {"run_id": OURS}) == before
    found = again.answer("GET", P + f"logged-models/{model['model_id']}", {})["model"]["info"]
    assert found["status"] == "LOGGED_MODEL_READY"


def test_the_last_model_is_found_where_it_lies(api: MlflowApi, tracking: Tracking, tmp_path: Path) -> None:
    _create(api)
    assert tracking.last_model() is None
    body = {"run_id": OURS, "model_json": '{"artifact_path": "model", "model_uuid": "u"}'}
    api.answer("POST", P + "runs/log-model", body)
    assert tracking.last_model() is None, "its folder is empty"
    folder = tmp_path / "mlflow" / "artifacts" / "model"
    folder.mkdir(parents=True)
    (folder / "MLmodel").touch()
    found = tracking.last_model()
    assert found is not None
    assert found.folder == folder


def test_a_parameter_does_not_change(api: MlflowApi) -> None:
    _create(api)
    parameter = {"run_id": OURS, "key": "lr", "value": "0.1"}
    api.answer("POST", P + "runs/log-parameter", parameter)
    api.answer("POST", P + "runs/log-parameter", parameter)
    with pytest.raises(ApiError, match="not allowed"):
        api.answer("POST", P + "runs/log-parameter", parameter | {"value": "0.2"})


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (P + "gateway/endpoints", 404, "ENDPOINT_NOT_FOUND"),
        ("/other", 404, "ENDPOINT_NOT_FOUND"),
        (P + "runs/get", 404, "RESOURCE_DOES_NOT_EXIST"),
        (P + "experiments/get-by-name", 400, "INVALID_PARAMETER_VALUE"),
    ],
)
def test_what_is_not_known_is_refused(api: MlflowApi, path: str, status: int, code: str) -> None:
    with pytest.raises(ApiError) as refusal:
        api.answer("GET", path, {})
    assert (refusal.value.status, refusal.value.code) == (status, code)


def test_runs_are_searched(api: MlflowApi, tracking: Tracking) -> None:
    _create(api)
    children = [_create(api, tags=[{"key": "mlflow.parentRunId", "value": OURS}]) for _ in range(3)]
    for number, child in enumerate(children):
        tracking.log(child, [Point("acc", number / 10, 0, 1)])
    body = {
        "filter": f"tags.mlflow.parentRunId = '{OURS}' and metrics.acc > 0.05",
        "order_by": ["metrics.acc DESC"],
    }
    found = api.answer("POST", P + "runs/search", body)["runs"]
    assert [run["info"]["run_id"] for run in found] == [children[2], children[1]]
    with pytest.raises(ApiError, match="not understood"):
        api.answer("POST", P + "runs/search", {"filter": "what is this"})


def test_a_record_cut_short_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).append([{"a": 1}])
    with path.open("ab") as file:
        file.write(b'{"a": 2')
    journal = Journal(path)
    journal.append([{"a": 3}])
    assert list(journal.read()) == [{"a": 1}, {"a": 3}]


def test_parts_of_the_history_never_overlap(tracking: Tracking) -> None:
    tracking.log(OURS, [Point("loss", 1.0, 1, 1)])
    first = next_part(tracking)
    assert first is not None
    tracking.history_uploaded(first[2])
    assert next_part(tracking) is None
    tracking.log(OURS, [Point("loss", 2.0, 2, 2)])
    second = next_part(tracking)
    assert second is not None
    assert (second[1], second[0].count(b"\n")) == (first[2], 1)


def test_a_deleted_run_is_found_only_where_it_is_asked_for(api: MlflowApi) -> None:
    _create(api)
    child = _create(api)
    api.answer("POST", P + "runs/delete", {"run_id": child})

    def found(**body: Any) -> list[str]:
        return [run["info"]["run_id"] for run in api.answer("POST", P + "runs/search", body)["runs"]]

    assert found() == [OURS]
    assert found(run_view_type="DELETED_ONLY") == [child]
    assert set(found(run_view_type="ALL")) == {OURS, child}
    api.answer("POST", P + "runs/restore", {"run_id": child})
    assert set(found()) == {OURS, child}


def test_what_was_registered_is_there_after_a_restart(tmp_path: Path) -> None:
    api = MlflowApi(make_tracking(tmp_path), "wine")
    api.answer("POST", P + "registered-models/create", {"name": "m"})
    with pytest.raises(ApiError, match="already exists") as refusal:
        api.answer("POST", P + "registered-models/create", {"name": "m"})
    assert refusal.value.code == "RESOURCE_ALREADY_EXISTS"
    body = {"name": "m", "source": "models:/m-1", "run_id": OURS, "model_id": "m-1"}
    for number in ("1", "2"):
        assert api.answer("POST", P + "model-versions/create", body)["model_version"]["version"] == number
    alias = {"name": "m", "alias": "champion", "version": "2"}
    api.answer("POST", P + "registered-models/alias", alias)
    by_alias = api.answer("GET", P + "registered-models/alias", {"name": "m", "alias": "champion"})
    assert by_alias["model_version"]["version"] == "2"

    again = MlflowApi(make_tracking(tmp_path), "wine")
    versions = again.answer("GET", P + "model-versions/search", {"filter": "name='m'"})["model_versions"]
    assert [version["version"] for version in versions] == ["2", "1"]
    with pytest.raises(ApiError, match="no version 3"):
        again.answer("GET", P + "model-versions/get", {"name": "m", "version": "3"})


def test_inputs_and_outputs_of_a_run_are_given_back(tmp_path: Path) -> None:
    api = MlflowApi(make_tracking(tmp_path), "wine")
    _create(api)
    dataset = {"dataset": {"name": "wine", "digest": "d"}, "tags": []}
    for _ in range(2):
        api.answer("POST", P + "runs/log-inputs", {"run_id": OURS, "datasets": [dataset]})
    api.answer("POST", P + "runs/outputs", {"run_id": OURS, "models": [{"model_id": "m-1", "step": 0}]})
    run = MlflowApi(make_tracking(tmp_path), "wine").answer("GET", P + "runs/get", {"run_id": OURS})["run"]
    assert run["inputs"]["dataset_inputs"] == [dataset]
    assert run["outputs"]["model_outputs"] == [{"model_id": "m-1", "step": 0}]


def test_logged_models_are_searched_tagged_and_deleted(api: MlflowApi) -> None:
    _create(api)
    names = ("one", "two")
    ids = {
        name: api.answer("POST", P + "logged-models", {"name": name, "source_run_id": OURS})["model"]["info"][
            "model_id"
        ]
        for name in names
    }

    def found(text: str) -> set[str]:
        models = api.answer("POST", P + "logged-models/search", {"filter": text})["models"]
        return {model["info"]["name"] for model in models}

    assert found("name = 'one'") == {"one"}
    assert found(f"source_run_id = '{OURS}'") == {"one", "two"}
    tags = {"tags": [{"key": "a/b", "value": "1"}]}
    api.answer("PATCH", P + f"logged-models/{ids['two']}/tags", tags)
    assert found("tags.x = '1'") == set()
    api.answer("DELETE", P + f"logged-models/{ids['two']}/tags/a%2Fb", {})
    info = api.answer("GET", P + f"logged-models/{ids['two']}", {})["model"]["info"]
    assert info["tags"] == []
    api.answer("DELETE", P + f"logged-models/{ids['one']}", {})
    assert found("") == {"two"}
