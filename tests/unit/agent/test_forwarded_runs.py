"""Records of the journal as calls of the remote MLflow server."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlops_operator.agent.forwarded_runs import FORWARDED_TAG, RunForwarder
from mlops_operator.agent.remote_mlflow import Json, Refused, RemoteMlflow

OURS = "a" * 32


class Server(RemoteMlflow):
    """Keeps what is sent, and refuses metrics whose value is 13."""

    def __init__(self) -> None:
        super().__init__("https://mlflow.example.org/", Path("/nowhere"), None)
        self.calls: list[tuple[str, Json]] = []
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, Json] = {}
        self.metrics: list[Json] = []
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.deleted = False

    def call(self, method: str, path: str, body: Json) -> Json:  # noqa: ARG002
        self.calls.append((path, body))
        match path:
            case "runs/update" if self.deleted:
                raise Refused(400, "INVALID_PARAMETER_VALUE", "the run is deleted")
            case "experiments/get-by-name":
                if body["experiment_name"] not in self.experiments:
                    raise Refused(404, "RESOURCE_DOES_NOT_EXIST", "no such experiment")
                return {"experiment": {"experiment_id": self.experiments[body["experiment_name"]]}}
            case "experiments/create":
                self.experiments[body["name"]] = "7"
                return {"experiment_id": "7"}
            case "runs/search":
                wanted = body["filter"].rsplit("'", 2)[1]
                return {"runs": [run for run in self.runs.values() if run["forwarded"] == wanted]}
            case "runs/create":
                tags = {tag["key"]: tag["value"] for tag in body["tags"]}
                info = {"run_id": f"r{len(self.runs)}", "artifact_uri": "mlflow-artifacts:/7/r"}
                self.runs[info["run_id"]] = {"info": info, "forwarded": tags[FORWARDED_TAG], "tags": tags}
                return {"run": {"info": info}}
            case "runs/log-batch":
                self._take(body)
        return {}

    def _take(self, body: Json) -> None:
        assert len(body["metrics"]) + len(body["params"]) + len(body["tags"]) <= 1000
        assert max(len(body["params"]), len(body["tags"])) <= 100
        if any(metric["value"] == 13 for metric in body["metrics"]):
            raise Refused(400, "INVALID_PARAMETER_VALUE", "13 is bad luck")
        self.metrics += body["metrics"]
        self.params.update((pair["key"], pair["value"]) for pair in body["params"])
        self.tags.update((pair["key"], pair["value"]) for pair in body["tags"])


def _forwarder(server: Server, runs: dict[str, Any] | None = None) -> tuple[RunForwarder, list[str]]:
    warnings: list[str] = []
    known = runs or {OURS: {"name": "wine", "tags": {"a": "1"}, "at": 5, "user": "u"}}
    return RunForwarder(server, "wine", {"ours": "yes"}, known.get, warnings.append), warnings


def _points(*points: tuple[str, float, int]) -> dict[str, Any]:
    return {"m": [[name, value, step, 1] for name, value, step in points], "of": OURS}


def test_a_run_is_made_once_with_its_tags() -> None:
    server = Server()
    forwarder, _ = _forwarder(server)
    forwarder.send([_points(("loss", 0.5, 1))])
    forwarder.send([_points(("loss", 0.4, 2))])
    (run,) = server.runs.values()
    assert run["tags"] == {"a": "1", "ours": "yes", FORWARDED_TAG: OURS}
    assert [metric["step"] for metric in server.metrics] == [1, 2]
    again, _ = _forwarder(server)
    again.send([_points(("loss", 0.3, 3))])
    assert len(server.runs) == 1, "a process that forgot finds it by its tag"


def test_a_nested_run_has_its_parent_there() -> None:
    server = Server()
    child = {"name": "c", "tags": {"mlflow.parentRunId": OURS}, "at": 6, "user": "u"}
    forwarder, _ = _forwarder(server, {OURS: {"name": "p", "tags": {}, "at": 5, "user": "u"}, "c": child})
    forwarder.run("c")
    assert server.runs[forwarder.known.ids["c"]]["tags"]["mlflow.parentRunId"] == forwarder.known.ids[OURS]


def test_what_has_no_number_in_json_is_a_word() -> None:
    server = Server()
    forwarder, _ = _forwarder(server)
    forwarder.send([_points(("a", math.nan, 0), ("a", math.inf, 1), ("a", -math.inf, 2))])
    assert [metric["value"] for metric in server.metrics] == ["NaN", "Infinity", "-Infinity"]


def test_names_and_lengths_are_made_fit() -> None:
    server = Server()
    forwarder, warnings = _forwarder(server)
    long = {"params": {"note": "x" * 7000}, "of": OURS}
    forwarder.send([_points(("loss@1", 1.0, 0)), long, {"tags": {"t": "y" * 7000}, "of": OURS}])
    assert server.metrics[0]["key"] == "loss_1"
    assert (len(server.params["note"]), len(server.tags["t"])) == (6000, 5000)
    assert "7000" in warnings[0]


def test_what_is_refused_for_its_content_is_left_out_alone() -> None:
    server = Server()
    forwarder, warnings = _forwarder(server)
    forwarder.send([_points(*(("loss", float(step), step) for step in range(100)))])
    assert sorted(metric["step"] for metric in server.metrics) == [s for s in range(100) if s != 13]
    assert "13 is bad luck" in warnings[0]


def test_a_server_that_takes_nothing_is_not_asked_for_every_value() -> None:
    server = Server()
    forwarder, warnings = _forwarder(server)
    forwarder.send([_points(*(("loss", 13.0, step) for step in range(5000)))])
    assert len(server.calls) < 1000
    assert any("many wrong values" in text for text in warnings)


@given(st.integers(0, 2500), st.integers(0, 250), st.integers(0, 250))
def test_batches_hold_everything_and_are_never_too_large(metrics: int, params: int, tags: int) -> None:
    server = Server()
    forwarder, _ = _forwarder(server)
    records = [
        _points(*(("m", float(n) + 0.5, n) for n in range(metrics))),
        {"params": {f"p{n}": "v" for n in range(params)}, "of": OURS},
        {"tags": {f"t{n}": "v" for n in range(tags)}, "of": OURS},
    ]
    forwarder.send(records)
    assert [metric["step"] for metric in server.metrics] == list(range(metrics))
    assert (len(server.params), len(server.tags)) == (params, tags)


def test_how_a_run_ends_and_what_is_taken_back() -> None:
    server = Server()
    forwarder, _ = _forwarder(server)
    forwarder.send(
        [
            {"tags": {"gone": "1", "stays": "1"}, "of": OURS},
            {"untag": "gone", "of": OURS},
            {"update": OURS, "status": "FINISHED", "end": 9, "name": None},
        ]
    )
    assert server.tags == {"stays": "1"}
    paths = [path for path, _ in server.calls]
    assert "runs/delete-tag" in paths
    assert server.calls[-1] == ("runs/update", {"run_id": "r0", "status": "FINISHED", "end_time": 9})


def test_a_run_that_was_deleted_there_does_not_hold_up_the_others() -> None:
    server = Server()
    server.deleted = True
    forwarder, warnings = _forwarder(server)
    forwarder.send([{"update": OURS, "status": "FINISHED", "end": 9, "name": None}])
    assert "the run is deleted" in warnings[0]
