"""Metrics from every source while a run trains, what it used, its log without secret values, and others' conventions."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any

from tensorboardX import SummaryWriter

from tests.e2e.kube import NeverHappenedError, poll

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.kube import Object
    from tests.e2e.workspace import Workspace

TOKEN, PASSWORD, DATABASE = "very-s3cret-token", "pass&word-of-the-database", "PIN"
STDOUT = r"epoch (?P<step>\d+)|(?P<name>\w+)=(?P<value>\S+)"

# Writes half of everything, waits for the test's sign, and writes the rest.
HALVES = r"""
import base64, json, os, pathlib, sys, time
output = pathlib.Path(os.environ["MLOPS_OUTPUT_DIR"])
beats = open(os.environ["MLOPS_METRICS_FILE"], "a", buffering=1)
pathlib.Path("logs").mkdir()
metrics = open("logs/metrics.jsonl", "ab", 0)
pathlib.Path("runs/first").mkdir(parents=True)
board = open("runs/first/events.out.tfevents.1", "ab", 0)
events = base64.b64decode(pathlib.Path("events.b64").read_text())
half = len(events) // 2

metrics.write(b'{"step": 1, "loss": 0.5}\n\xff\xfe no text\n{"step": 2, "loss": NaN}\n{"step": 3, "lo')
board.write(events[:half])
token = os.environ["TOKEN"]
os.write(2, f"epoch 2: f1=inf\nthe token is {token[:9]}".encode())
os.write(1, b"epoch 1: accuracy=0.7\repoch 2: accur")

beat, end = 0, time.monotonic() + 600
while not (output / "go").exists():
    if time.monotonic() > end:
        sys.exit("no sign came")
    beat += 1
    beats.write(json.dumps({"step": beat, "beat": beat}) + "\n")
    time.sleep(1)

os.write(2, f"{token[9:]} as it is\n".encode())
os.write(1, b"acy=0.9\n")
metrics.write(b'ss": 0.25}\n')
board.write(events[half:])
for line in range(11):
    names = {f"many/{line * 500 + i:05d}": i for i in range(500)}
    metrics.write(json.dumps({"step": 4, **names}).encode() + b"\n")
print("connecting with", os.environ["DB_PASSWORD"], file=sys.stderr)
sys.exit(f"cannot connect: {os.environ['DB_PASSWORD']}")
"""

SAGEMAKER = """
import argparse, json, os
import joblib, numpy
from sklearn.linear_model import SGDClassifier

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=int(os.environ["SM_HP_EPOCHS"]))
    parser.add_argument("--alpha", type=float, default=json.loads(os.environ["SM_HPS"])["alpha"])
    parser.add_argument("--hosts", type=list, default=json.loads(os.environ["SM_HOSTS"]))
    parser.add_argument("--current-host", type=str, default=os.environ["SM_CURRENT_HOST"])
    parser.add_argument("--num-gpus", type=int, default=os.environ["SM_NUM_GPUS"])
    parser.add_argument("--model-dir", type=str, default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--output-data-dir", type=str, default=os.environ["SM_OUTPUT_DATA_DIR"])
    parser.add_argument("--train", type=str, default=os.environ["SM_CHANNEL_TRAINING"])
    args = parser.parse_args()
    assert args.hosts == [args.current_host] and args.num_gpus == 0
    data = numpy.loadtxt(os.path.join(args.train, "train.csv"), delimiter=",")
    model = SGDClassifier(max_iter=args.epochs, alpha=args.alpha, tol=None).fit(data[:, 1:], data[:, 0])
    joblib.dump(model, os.path.join(args.model_dir, "model.joblib"))
    with open(os.path.join(args.output_data_dir, "args.json"), "w") as file:
        json.dump({"epochs": args.epochs, "alpha": args.alpha}, file)
"""

VERTEX = """
import base64, glob, os, pickle

assert os.environ["AIP_DATA_FORMAT"] == "csv"
rows = []
for path in glob.glob(os.environ["AIP_TRAINING_DATA_URI"]):
    rows += open(path).read().split()
assert not glob.glob(os.environ["AIP_VALIDATION_DATA_URI"] + ".no")
with open(os.path.join(os.environ["AIP_CHECKPOINT_DIR"], "step-1.txt"), "w") as file:
    file.write("1")
with open(os.environ["AIP_TENSORBOARD_LOG_DIR"] + "events.out.tfevents.1", "wb") as file:
    file.write(base64.b64decode(open("events.b64").read()))
with open(os.environ["AIP_MODEL_DIR"] + "model.pkl", "wb") as file:
    pickle.dump({"rows": len(rows)}, file)
"""


def events(folder: Path) -> str:
    """Give an event file as tensorboardX writes it, as text."""
    with SummaryWriter(str(folder)) as writer:
        for step in range(4):
            writer.add_scalar("board/score", step / 4, step)
    (path,) = folder.iterdir()
    return base64.b64encode(path.read_bytes()).decode()


def metrics_of(run: Object) -> dict[str, Object]:
    return {metric["name"]: metric for metric in run.get("status", {}).get("metrics", [])}


def said_in_log(workspace: Workspace, run: str, word: str) -> str:
    """Give what ``kubectl logs`` shows of the command, once it has a word."""
    pod = workspace.pods(run)[0]["metadata"]["name"]
    seen = ""
    for _ in poll(300):
        seen = workspace.kube.kubectl("-n", workspace.name, "logs", pod, "-c", "train").stdout
        if word in seen:
            return seen
    raise NeverHappenedError(f"{word!r} is not in the log: {seen[-2000:]}")


def half_way(run: Object) -> bool:
    """Whether the first half of everything has arrived, and what was used until then."""
    seen = metrics_of(run)
    return (
        seen.get("loss", {}).get("nonFinite") == 1
        and seen.get("accuracy", {}).get("latest") == 0.7
        and seen.get("f1", {}).get("nonFinite") == 1
        and "board/score" in seen
        and run["status"].get("usage", {}).get("cpuSeconds", 0) > 0
    )


def test_metrics_usage_and_a_log_without_secrets(workspace: Workspace, tmp_path: Path) -> None:
    _apply_secrets(workspace)
    files = {"train.py": HALVES, "events.b64": events(tmp_path / "events")}
    workspace.run(
        "halves",
        source={"inline": {"files": files}},
        env=[{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}}],
        envFrom=[{"prefix": "DB_", "secretRef": {"name": "database"}}],
        metrics={
            "sources": [
                {"type": "JSONLines", "path": "logs/metrics.jsonl"},
                {"type": "TensorBoard", "path": "runs/*"},
                {"type": "Stdout", "pattern": STDOUT},
            ]
        },
    )
    seen = metrics_of(workspace.until_run("halves", half_way))
    assert (seen["loss"]["latest"], seen["loss"]["step"]) == (0.5, 2)
    assert (seen["accuracy"]["step"], seen["f1"]["step"]) == (1, 2)
    workspace.tell("halves")
    shown = said_in_log(workspace, "halves", "cannot connect: ***")

    failure = workspace.failed("halves", "UserError")
    run = workspace.get("TrainingRun", "halves")
    assert run is not None
    prefix = f"{workspace.run_prefix(run)}attempts/1/"
    log = workspace.read(f"{prefix}logs/train.log").decode()
    for text in (shown, log, json.dumps(run["status"])):
        assert TOKEN not in text
        assert PASSWORD not in text
    assert "the token is " in log
    assert "*** as it is\n" in log, "what the other stream prints may stand between the two writes"
    assert "cannot connect: ***" in failure["logTail"]
    _check_points([json.loads(line) for line in workspace.read(f"{prefix}metrics.jsonl").splitlines()])
    _check_status(run["status"])


def _apply_secrets(workspace: Workspace) -> None:
    secrets = {"keys": {"token": TOKEN}, "database": {"PASSWORD": PASSWORD, DATABASE: "1234"}}
    for name, content in secrets.items():
        workspace.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": content}
        )


def _check_points(points: list[dict[str, Any]]) -> None:
    """Nothing of the history is lost, however it came in."""
    values: dict[str, list[tuple[int, Any]]] = {}
    for point in points:
        values.setdefault(point["name"], []).append((point["step"], point["value"]))
    assert values["loss"] == [(1, 0.5), (2, "NaN"), (3, 0.25)]
    assert values["accuracy"] == [(1, 0.7), (2, 0.9)]
    assert values["f1"] == [(2, "Infinity")]
    assert values["board/score"] == [(step, step / 4) for step in range(4)]
    assert len([name for name in values if name.startswith("many/")]) == 5500


def _check_status(status: Object) -> None:
    assert len(status["metrics"]) == 64
    warnings = "\n".join(status["warnings"])
    assert "line 2 is not a JSON object" in warnings
    assert "beyond the 5000th name, are only in the history" in warnings
    assert f"DB_{DATABASE}" in warnings, "a value that is too short to be masked is named"
    usage = status["usage"]
    assert usage["cpuSeconds"] > 0
    assert usage["memoryPeakBytes"] > 0
    assert "gpuSeconds" not in usage
    assert "unmeasured" not in usage, "no GPU was asked for"
    assert math.isclose(status["attempts"][-1]["usage"]["cpuSeconds"], usage["cpuSeconds"], abs_tol=0.01)


def test_scripts_for_sagemaker_and_vertex(workspace: Workspace, tmp_path: Path) -> None:
    rows = b"".join(f"{i % 2},{i},{-i}\n".encode() for i in range(40))
    workspace.dataset("training", {"train.csv": rows})
    workspace.dataset("validation", {"valid.csv": rows})
    model = {"model": {"name": "some-model", "register": "Never"}}
    workspace.run(
        "sagemaker",
        SAGEMAKER,
        parameters={"epochs": 5, "alpha": 0.01},
        datasets=[{"name": "training"}],
        outputs=model,
    )
    files = {"train.py": VERTEX, "events.b64": events(tmp_path / "events")}
    workspace.run(
        "vertex",
        source={"inline": {"files": files}},
        datasets=[{"name": name, "include": ["*.csv"]} for name in ("training", "validation")],
        outputs=model,
    )
    run = workspace.succeeded("sagemaker")
    assert workspace.manifest(run)["model"]["mainFile"] == "model.joblib"
    arguments = workspace.read_json(f"{workspace.run_prefix(run)}attempts/1/artifacts/output/args.json")
    assert arguments == {"epochs": 5, "alpha": 0.01}

    run = workspace.succeeded("vertex")
    assert workspace.manifest(run)["model"]["mainFile"] == "model.pkl"
    assert metrics_of(run)["board/score"]["latest"] == 0.75
    assert any("checkpoints/" in key and "step-1" in key for key in workspace.keys(workspace.run_prefix(run)))
