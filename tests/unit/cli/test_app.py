"""The commands, with kubectl and the bucket faked at their edges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from mlops_operator.api.history import entry_of
from mlops_operator.cli import complete, options
from mlops_operator.cli.app import app
from mlops_operator.cli.bucket import bucket_name, from_environment
from mlops_operator.cli.cluster import Cluster
from mlops_operator.cli.errors import CliError, ClusterError
from mlops_operator.errors import MlopsError, StorageUnavailable
from mlops_operator.storage.history import record_run
from mlops_operator.storage.run_index import RunIndex
from tests.unit.cli.entries import START, run
from tests.unit.storage.memory import MemoryBucket


class Kubectl:
    """What the cluster has; ``said`` are the words of each call."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.said: list[tuple[str, ...]] = []
        self.away = False

    def __call__(self, _cluster: Cluster, *words: str, stdin: str | None = None) -> str:  # noqa: PLR0911
        self.said.append(words)
        if self.away:
            raise ClusterError("the cluster does not answer")
        match words[:2]:
            case ("config", _):
                return "ws-alice"
            case ("get", "trainingruns"):
                return json.dumps({"items": list(self.objects.values())})
            case ("get", "trainingrun"):
                return json.dumps(self._there(words[2]))
            case ("get", "modelversions"):
                return json.dumps({"items": []})
            case ("create", _):
                return json.dumps(self._create(json.loads(stdin or "")))
            case ("patch", _):
                (patch,) = [word.removeprefix("--patch=") for word in words if word.startswith("--patch=")]
                found = self._there(words[2])
                found["spec"] |= json.loads(patch)["spec"]
                return json.dumps(found)
            case ("logs", _):
                return f"log of {words[1]}\n"
        raise AssertionError(words)

    def _there(self, name: str) -> dict[str, Any]:
        if name not in self.objects:
            raise ClusterError(f'(NotFound): trainingruns "{name}" not found')
        return self.objects[name]

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        name = body["metadata"].get("name") or body["metadata"]["generateName"] + "x7k2p"
        if name in self.objects:
            raise ClusterError(f'(AlreadyExists): trainingruns "{name}" already exists')
        made = {**body, "metadata": {"name": name, "uid": "u", "creationTimestamp": "2026-03-01T12:00:00Z"}}
        self.objects[name] = made
        return made


@pytest.fixture
def kubectl(monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    fake = Kubectl()
    fake.objects["live"] = run("live", 2, archived=False, parameters={"learning_rate": 0.5})
    monkeypatch.setattr(
        Cluster, "_run", lambda cluster, *words, stdin=None: fake(cluster, *words, stdin=stdin)
    )
    return fake


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> MemoryBucket:
    """The bucket, with the run wine that is gone from the cluster."""
    memory = MemoryBucket()
    record_run(RunIndex(), memory, run("wine", 1, archived=False), now=START)
    record_run(RunIndex(), memory, run("hidden", 3), now=START)
    monkeypatch.setattr(options, "from_workspace", lambda *_: None)
    monkeypatch.setattr(options, "from_environment", lambda *_: None)
    monkeypatch.setattr(options, "open_bucket", lambda _: memory)
    return memory


def call(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_list_has_both_and_hides_what_is_archived(kubectl: Kubectl, bucket: MemoryBucket) -> None:
    assert call("list", "-o", "name").split() == [
        "trainingrun.mlops.eoepca.org/live",
        "trainingrun.mlops.eoepca.org/wine",
    ]
    assert "hidden" in call("list", "--all")
    table = call("list", "-o", "wide").splitlines()
    assert table[0].split()[:3] == ["NAME", "PHASE", "EXPERIMENT"]
    assert {line.split()[0] for line in table[1:]} == {"live", "wine"}
    assert "bucket" in next(line for line in table if line.startswith("wine"))


def test_a_filter_picks_and_shows_its_columns(kubectl: Kubectl, bucket: MemoryBucket) -> None:
    table = call("list", "--filter", "params.learning_rate > 0.1").splitlines()
    assert "PARAMS.LEARNING_RATE" in table[0]
    assert [line.split()[0] for line in table[1:]] == ["live"]
    items = json.loads(call("list", "-o", "json", "--order-by", "params.learning_rate"))["items"]
    assert [(item["name"], item["inCluster"]) for item in items] == [("wine", False), ("live", True)]


def test_the_bucket_alone_is_enough(kubectl: Kubectl, bucket: MemoryBucket) -> None:
    kubectl.away = True
    assert call("list", "--bucket", "s3://ws-alice", "-o", "name").split() == [
        "trainingrun.mlops.eoepca.org/wine"
    ]
    shown = yaml.safe_load(call("show", "wine", "--bucket", "s3://ws-alice"))
    assert shown["spec"]["parameters"]["epochs"] == 3
    assert kubectl.said == []
    with pytest.raises(CliError, match="takes a cluster"):
        call("cancel", "wine", "--bucket", "s3://ws-alice")


def test_a_history_that_cannot_be_read_is_said_beside_the_rest(
    kubectl: Kubectl, bucket: MemoryBucket, capsys: pytest.CaptureFixture[str]
) -> None:
    def before(_action: str, _key: str) -> None:
        raise StorageUnavailable("http://s3 does not answer")

    bucket.before = before
    done = CliRunner().invoke(app, ["list", "-o", "name"])
    assert done.stdout.split() == ["trainingrun.mlops.eoepca.org/live"]
    assert "only in the bucket are not shown: http://s3 does not answer" in done.stderr


def test_a_run_that_is_gone_is_run_again(kubectl: Kubectl, bucket: MemoryBucket) -> None:
    assert call("rerun", "wine", "--set", "learning_rate=0.1").strip() == "wine-r2"
    assert call("rerun", "wine", "-o", "name").strip() == "trainingrun.mlops.eoepca.org/wine-r3"
    made = kubectl.objects["wine-r2"]["spec"]
    assert made["rerunOf"]["name"] == "wine"
    assert made["parameters"]["learning_rate"] == 0.1
    with pytest.raises(CliError, match="choose another --name"):
        call("rerun", "wine", "--name", "live")
    printed = yaml.safe_load(call("rerun", "wine", "--dry-run"))
    assert printed["metadata"]["name"] == "wine-r2"
    assert "wine-r4" not in kubectl.objects


def test_a_run_that_nobody_has_is_told_with_one_that_is_near(kubectl: Kubectl, bucket: MemoryBucket) -> None:
    with pytest.raises(CliError, match="there is no run wines; did you mean wine"):
        call("show", "wines")


def test_submit(kubectl: Kubectl, bucket: MemoryBucket, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("print('trained')")
    assert (
        call("submit", str(script), "--image", "python-ml:1", "-p", "lr=0.1", "--", "--fast").strip()
        == "train-x7k2p"
    )
    spec = kubectl.objects["train-x7k2p"]["spec"]
    assert (spec["args"], spec["parameters"]) == (["--fast"], {"lr": 0.1})


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (("cancel", "live"), "cancel", True),
        (("suspend", "live"), "suspend", True),
        (("resume", "live"), "suspend", False),
        (("archive", "live"), "archived", True),
        (("archive", "live", "--undo"), "archived", False),
    ],
)
def test_changes(
    kubectl: Kubectl, bucket: MemoryBucket, words: tuple[str, ...], field: str, value: bool
) -> None:
    assert call(*words).startswith("live ")
    assert kubectl.objects["live"]["spec"][field] is value


def test_compare(kubectl: Kubectl, bucket: MemoryBucket) -> None:
    table = call("compare", "wine", "live").splitlines()
    assert next(line for line in table if "parameters.learning_rate" in line).startswith("*")
    rows = json.loads(call("compare", "wine", "live", "-d", "-o", "json"))["rows"]
    assert {row["name"] for row in rows} == {"learning_rate", "epochs"}


def test_curves(kubectl: Kubectl, bucket: MemoryBucket) -> None:
    with pytest.raises(CliError, match="appear while the training logs"):
        call("curves", "wine")
    line = b'{"run":"r","name":"loss","value":0.5,"step":1}\n'
    bucket.put_bytes("mlops/runs/wine-00000001/attempts/1/metrics.jsonl", line)
    assert json.loads(call("curves", "wine", "-o", "json")) == {
        "wine": {"loss": [{"step": 1.0, "value": 0.5}]}
    }
    with pytest.raises(CliError, match="no metric lost in the bucket; it has: loss"):
        call("curves", "wine", "--metric", "lost")


def test_logs_come_from_the_pod_or_the_bucket(kubectl: Kubectl, bucket: MemoryBucket) -> None:
    assert call("logs", "live") == "log of wine-1-abcde\n"
    bucket.put_bytes("mlops/runs/wine-00000001/attempts/1/logs/train.log", b"trained\n")
    assert call("logs", "wine", "--bucket", "s3://ws-alice") == "trained\n"


def test_completion_gives_names_and_commands(
    kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("_KUBECTL_MLOPS_COMPLETE", "_TYPER_COMPLETE_FISH_ACTION", "_TYPER_COMPLETE_ARGS"):
        monkeypatch.setenv(name, "")
    complete.main(["comp"])
    assert capsys.readouterr().out.startswith("compare\t")
    complete.main(["compare", "li"])
    assert capsys.readouterr().out == "live\n:4\n"
    complete.main(["list", "--output", ""])
    assert "yaml\n" in capsys.readouterr().out


def test_credentials_of_the_environment() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "http://inside:7070"}
    assert from_environment("s3://ws-alice", None, keys).endpoint == "http://inside:7070"
    found = from_environment("ws-alice", "http://outside:7070", keys)
    assert (found.endpoint, found.bucket) == ("http://outside:7070", "ws-alice")
    with pytest.raises(CliError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"):
        from_environment("s3://ws-alice", None, {})


@pytest.mark.parametrize("text", ["http://ws-alice", "s3://", "s3://ws-alice/below"])
def test_what_is_no_bucket_is_refused(text: str) -> None:
    with pytest.raises(CliError, match="--bucket must look like"):
        bucket_name(text)


def test_a_row_of_a_live_run_is_that_of_its_record() -> None:
    assert entry_of(run("wine")).parameters == {"learning_rate": 0.01, "epochs": 3}
    assert issubclass(CliError, MlopsError)
