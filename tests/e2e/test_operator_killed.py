"""The operator is killed twenty times, in every phase of a run; every run ends right and nothing is done twice."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.e2e import operator_pod
from tests.e2e.kube import phase, poll
from tests.e2e.workspace import resource, training_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.audit import AuditLog
    from tests.e2e.kube import Kube
    from tests.e2e.workspace import Workspace

pytestmark = pytest.mark.disruptive

KILLS = 20
PHASES = ("Pending", "Queued", "Staging", "Running", "Uploading", "Succeeded")
LABEL = "mlops.eoepca.org/e2e-killed"

TRAIN = """\
import os, pathlib, time
marker = pathlib.Path(os.environ["MLOPS_OUTPUT_DIR"], "starts.txt")
marker.write_text((marker.read_text() if marker.exists() else "") + "started\\n")
time.sleep(2.5)
model = pathlib.Path(os.environ["MLOPS_MODEL_DIR"])
model.mkdir(parents=True, exist_ok=True)
(model / "model.bin").write_bytes(b"weights" * 1000)
pathlib.Path(os.environ["MLOPS_OUTPUT_DIR"], "big.bin").write_bytes(os.urandom(32_000_000))
"""


class Stage:
    """Brings a run to a phase and holds it there until it is let go."""

    def __init__(self, workspace: Workspace, node: str) -> None:
        self.workspace = workspace
        self.node = node

    def start(self, name: str, target: str) -> Callable[[], None]:
        """Apply the run; gives what lets it go on."""
        spec: dict[str, object] = {"outputs": {"model": {"name": "killed-model"}}}
        release: Callable[[], None] = lambda: None  # noqa: E731
        if target == "Pending":
            spec["datasets"] = [{"name": f"data-{name}"}]
            release = lambda: self.workspace.apply(self._dataset(f"data-{name}"))  # noqa: E731
        elif target == "Queued":
            spec["scheduling"] = {"nodeSelector": {LABEL: name}}
            release = lambda: self._label(name)  # noqa: E731
        elif target == "Staging":
            spec["datasets"] = [{"name": "large"}]
        self.workspace.apply(training_run(name, TRAIN, **spec))
        return release

    def _dataset(self, name: str) -> dict[str, object]:
        source = {"s3": {"uri": f"s3://{self.workspace.name}/data/small/"}}
        return resource("TrainingDataset", name, {"version": "1", "source": source})

    def _label(self, value: str | None) -> None:
        self.workspace.kube.patch("Node", "", self.node, {"metadata": {"labels": {LABEL: value}}})

    def clean(self) -> None:
        self._label(None)


def test_operator_killed_twenty_times(workspace: Workspace, kube: Kube, audit: AuditLog) -> None:
    seed = int(os.environ.get("MLOPS_SEED", time.time_ns() % 1_000_000))
    print(f"seed: MLOPS_SEED={seed}")
    chance = random.Random(seed)
    workspace.put("data/small/a.csv", b"1,2,3")
    workspace.dataset("large", {f"part-{i}.bin": os.urandom(8_000_000) for i in range(8)})
    workspace.until_dataset_ready("large")
    stage = Stage(workspace, kube.list("Node", "")[0]["metadata"]["name"])
    targets = [PHASES[i % len(PHASES)] for i in range(KILLS)]
    chance.shuffle(targets)
    killed_in: Counter[str] = Counter()
    try:
        for number, target in enumerate(targets):
            killed_in[_kill_in(stage, f"killed-{number:02}", target, chance)] += 1
        extra = KILLS
        while missing := [p for p in PHASES if killed_in[p] < 2]:
            assert extra < 2 * KILLS, f"phases that could not be caught twice: {missing}; kills: {killed_in}"
            killed_in[_kill_in(stage, f"killed-{extra:02}", missing[0], chance)] += 1
            extra += 1
        print(f"kills by phase: {dict(killed_in)}")
        names = [r["metadata"]["name"] for r in kube.list("TrainingRun", workspace.name)]
        for name in names:
            _check_run(workspace, name)
    finally:
        stage.clean()
    _check_versions(workspace, len(names))
    _check_jobs(workspace, audit, names)


def _kill_in(stage: Stage, name: str, target: str, chance: random.Random) -> str:
    """Start a run, kill the operator in the phase at a random moment; gives the phase that it was killed in."""
    workspace, kube = stage.workspace, stage.workspace.kube
    operator_pod.until_leading(kube)
    release = stage.start(name, target)
    order = ("", *PHASES)
    run = workspace.until_run(name, lambda r: order.index(phase(r)) >= order.index(target))
    # The moment, at random within the phase; the phase itself lasts longer than that.
    time.sleep(chance.uniform(0, 0.6))
    run = workspace.get("TrainingRun", name) or run
    operator_pod.kill(kube)
    print(f"{name}: wanted {target}, killed in {phase(run)}")
    release()
    return phase(run)


def _check_run(workspace: Workspace, name: str) -> None:
    run = workspace.until_ended(name)
    assert phase(run) == "Succeeded", (name, run["status"])
    assert [a["number"] for a in run["status"]["attempts"]] == [1], name
    workspace.check_files(run)
    starts = [k for k in workspace.keys(workspace.run_prefix(run)) if k.endswith("starts.txt")]
    assert [workspace.read(key) for key in starts] == [b"started\n"], name
    workspace.until_run(name, lambda r: r["status"].get("model", {}).get("name"))


def _check_versions(workspace: Workspace, runs: int) -> None:
    versions: list[dict[str, object]] = []
    for _ in poll(180):
        versions = workspace.kube.list("ModelVersion", workspace.name)
        if len(versions) >= runs and all(phase(v) == "Ready" for v in versions):
            break
    numbers = sorted(int(v["status"].get("version", 0)) for v in versions)  # type: ignore[attr-defined]
    assert numbers == list(range(1, runs + 1)), [(v["metadata"], v.get("status")) for v in versions]


def _check_jobs(workspace: Workspace, audit: AuditLog, names: list[str]) -> None:
    """By the API server's own log: of each run exactly one Job was ever created."""
    created = Counter(
        call.name
        for call in audit.calls()
        if (call.namespace, call.resource, call.verb, call.code) == (workspace.name, "jobs", "create", 201)
    )
    for name in names:
        assert created[f"{name}-1"] == 1, (name, created)
        assert created[f"{name}-2"] == 0, (name, created)


@pytest.fixture(autouse=True)
def _operator_is_back(kube: Kube) -> object:
    yield
    operator_pod.until_leading(kube)
