"""Runs that the code made on the remote server itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlops_operator.agent.copied_runs import RunCopier
from mlops_operator.agent.forwarded_runs import FORWARDED_TAG
from mlops_operator.agent.remote_mlflow import Json, RemoteMlflow
from mlops_operator.agent.tracking import Tracking
from mlops_operator.api.wire import RunIdentity
from tests.unit.agent.follow.test_json_lines import make_tracking

RUN = RunIdentity(name="wine", namespace="ws-alice", uid="uid-1", attempt=2)
OURS = "a" * 32


class Server(RemoteMlflow):
    """Two experiments; the run of the code is in the second."""

    def __init__(self) -> None:
        super().__init__("https://mlflow.example.org", Path("/nowhere"), None)
        self.points: list[tuple[float, int, int]] = []  # value, step, time
        self.histories = 0
        self.filters: list[str] = []
        self.status = "RUNNING"

    def call(self, method: str, path: str, body: Json) -> Json:  # noqa: ARG002
        if path == "experiments/search":
            return {"experiments": [{"experiment_id": "1"}, {"experiment_id": "2"}]}
        if path == "runs/search":
            self.filters.append(body["filter"])
            return {"runs": [self._run("mine", {}), self._run("sent", {FORWARDED_TAG: OURS})]}
        assert path == "metrics/get-history"
        self.histories += 1
        page = int(body.get("page_token", 0))
        metrics = [_metric(*point) for point in self.points[page * 2 : page * 2 + 2]]
        more = len(self.points) > page * 2 + 2
        return {"metrics": metrics} | ({"next_page_token": str(page + 1)} if more else {})

    def _run(self, run_id: str, tags: dict[str, str]) -> Json:
        info = {"run_id": run_id, "run_name": run_id, "experiment_id": "2", "start_time": 5}
        latest = max(self.points, key=lambda point: (point[2], point[1]), default=None)
        return {
            "info": info | {"status": self.status, "end_time": 99},
            "data": {
                "metrics": [_metric(*latest)] if latest else [],
                "params": [{"key": "lr", "value": "0.1"}],
                "tags": [{"key": key, "value": value} for key, value in tags.items()],
            },
        }


def _metric(value: float, step: int, time: int) -> Json:
    return {"key": "loss", "value": value, "step": step, "timestamp": time}


def _copier(server: Server, tracking: Tracking) -> RunCopier:
    return RunCopier(server, lambda: "1", RUN, tracking)


def _steps(tracking: Tracking) -> list[int]:
    return [point.step for run_id, point in tracking.history() if run_id == "mine"]


def test_a_run_is_copied_as_it_grows_and_nothing_twice(tmp_path: Path) -> None:
    tracking, server = make_tracking(tmp_path), Server()
    copier = _copier(server, tracking)
    server.points = [(3.0, 0, 10), (2.0, 1, 10)]
    copier.copy()
    copier.copy()
    assert _steps(tracking) == [0, 1]
    assert server.histories == 1, "an unchanged metric is not asked for again"
    server.points += [(1.0, 2, 10), (0.5, 3, 11), (0.25, 4, 12)]
    copier.copy()
    assert _steps(tracking) == [0, 1, 2, 3, 4]
    assert tracking.runs["mine"].params == {"lr": "0.1"}
    assert "sent" not in tracking.runs, "what we sent there is not copied back"
    assert "uid-1" in server.filters[0]
    assert "'2'" in server.filters[0], "an earlier attempt's runs are not this one's"
    assert copier.first() == ("mine", "https://mlflow.example.org/#/experiments/2/runs/mine")

    again = make_tracking(tmp_path)
    server.points.append((0.1, 5, 13))
    server.status = "FINISHED"
    _copier(server, again).copy()
    assert _steps(again) == [0, 1, 2, 3, 4, 5], "a restarted sidecar goes on"
    assert (again.runs["mine"].status, again.runs["mine"].end_ms) == ("FINISHED", 99)


def test_its_metrics_are_the_runs(tmp_path: Path) -> None:
    tracking, server = make_tracking(tmp_path), Server()
    server.points = [(3.0, 0, 10), (1.0, 1, 11)]
    _copier(server, tracking).copy()
    ((name, summary),) = tracking.summary()
    assert (name, summary.latest, summary.max, summary.step) == ("loss", 1.0, 3.0, 1)
    created: Any = tracking.create_run(None, {}, None, "u")
    assert created.run_id == OURS, "the run in the pod is still the first that a client makes there"
