"""``kubectl mlops`` as a user works with it; then without the resources, and without the cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from hack.services.objects import decoded
from tests.e2e.plugin import Plugin
from tests.e2e.workspace import IMAGE, TRAIN

if TYPE_CHECKING:
    from hack.services.s3 import S3Service
    from tests.e2e.kube import Kube
    from tests.e2e.workspace import Workspace

OPTIONS = ("--image", IMAGE, "--memory", "128Mi", "--cpu", "200m", "--experiment", "plugin")

# Until it is told to stop: the test does that.
ENDLESS = """\
import time
for _ in range(600):
    time.sleep(1)
"""


@pytest.fixture
def plugin(kube: Kube, s3: S3Service, workspace: Workspace, tmp_path: Path) -> Plugin:
    return Plugin.installed(tmp_path / "bin", kube, workspace.name, s3.host_endpoint)


def write(folder: Path, **scripts: str) -> None:
    for name, text in scripts.items():
        (folder / f"{name}.py").write_text(text)


def names(text: str) -> list[str]:
    return [line.rpartition("/")[2] for line in text.split()]


def test_from_a_script_to_the_history(workspace: Workspace, plugin: Plugin, tmp_path: Path) -> None:
    write(tmp_path, train=TRAIN, broken="print('it begins'); raise SystemExit(5)", endless=ENDLESS)
    submit = ("submit", *OPTIONS, "--name")
    plugin.said(*submit, "endless", str(tmp_path / "endless.py"))
    assert plugin.said("cancel", "endless").startswith("endless is being cancelled")
    made = plugin.said(*submit, "first", str(tmp_path / "train.py"), "--param", "learning_rate=0.01")
    assert made.strip() == "first"
    assert names(plugin.said(*submit, "broken", str(tmp_path / "broken.py"), "-o", "name")) == ["broken"]

    # The exit code tells the outcome, and standard output is the training's own.
    first = plugin.run("follow", "first")
    assert "trained" in first.stdout
    assert "first: Succeeded" in first.stderr
    failed = plugin.run("follow", "broken", code=3)
    assert "it begins" in failed.stdout
    assert "broken: Failed (UserError)" in failed.stderr
    again = plugin.run("rerun", "first", "--set", "learning_rate=0.1", "--follow", "--output", "name")
    assert names(again.stdout)[0] == "first-r2"
    assert "trained" in again.stdout
    second = workspace.succeeded("first-r2")
    assert second["spec"]["rerunOf"]["name"] == "first"

    runs_are_found_and_compared(plugin)
    told = plugin.start("kubectl_complete-mlops", "compare", "-n", workspace.name, "fir", variables={})
    assert told.stdout.split() == ["first", "first-r2", ":4"]
    plugin.run("follow", "endless", code=4)
    plugin.said("archive", "endless")
    assert "endless" not in plugin.said("list")
    assert "endless" in plugin.said("list", "--all")

    # Without the resource: its history is in the bucket, once it is recorded.
    workspace.until_run("first", lambda run: run["status"].get("recorded"))
    workspace.delete("TrainingRun", "first")
    workspace.kube.until_gone("TrainingRun", workspace.name, "first")
    assert "first" in names(plugin.said("list", "-o", "name"))
    assert "trained" in plugin.said("logs", "first")
    printed = yaml.safe_load(plugin.said("rerun", "first", "--set", "learning_rate=1", "--dry-run"))
    assert printed["spec"]["parameters"] == {"learning_rate": 1}
    assert printed["spec"]["source"] == second["spec"]["source"]

    workspace.until_run("first-r2", lambda run: run["status"].get("recorded"))
    the_bucket_alone_is_enough(plugin, without_cluster(workspace, tmp_path))


def runs_are_found_and_compared(plugin: Plugin) -> None:
    assert sorted(names(plugin.said("list", "-o", "name"))) == ["broken", "endless", "first", "first-r2"]
    assert names(plugin.said("list", "--filter", "params.learning_rate = 0.1", "-o", "name")) == ["first-r2"]
    assert names(plugin.said("list", "--filter", "phase = 'Failed'", "-o", "name")) == ["broken"]
    rows = json.loads(plugin.said("compare", "first", "first-r2", "-o", "json"))["rows"]
    differing = {row["name"]: row["values"] for row in rows if row["differs"]}
    assert differing["learning_rate"] == [0.01, 0.1]
    assert "loss" not in differing
    curve = json.loads(plugin.said("curves", "first", "-o", "json"))["first"]["loss"]
    assert curve == [{"step": step, "value": 1 / step} for step in (1, 2, 3)]


def the_bucket_alone_is_enough(plugin: Plugin, alone: dict[str, str]) -> None:
    bucket = ("--bucket", f"s3://{plugin.namespace}")
    listed = plugin.run("list", "--order-by", "name", "-o", "json", *bucket, variables=alone)
    items = json.loads(listed.stdout)["items"]
    assert [item["name"] for item in items if item["phase"] == "Succeeded"] == ["first", "first-r2"]
    assert not any(item["inCluster"] for item in items)
    shown = yaml.safe_load(plugin.said("show", "first", *bucket, variables=alone))
    assert shown["spec"]["parameters"] == {"learning_rate": 0.01}
    assert "trained" in plugin.said("logs", "first", *bucket, variables=alone)
    away = plugin.run("list", code=1, variables=alone)
    assert "--bucket s3://" in away.stderr


def without_cluster(workspace: Workspace, folder: Path) -> dict[str, str]:
    """Give the environment of somebody who has only the keys of the bucket."""
    secret = workspace.get("Secret", f"{workspace.name}-datalab")
    assert secret is not None
    values = decoded(secret)
    return {
        "KUBECONFIG": str(folder / "nowhere"),
        "AWS_ACCESS_KEY_ID": values["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": values["AWS_SECRET_ACCESS_KEY"],
    }
