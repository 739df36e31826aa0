"""What ``rerun`` and ``submit`` make."""

from __future__ import annotations

import copy
from itertools import islice
from pathlib import Path

import pytest

from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.cli.errors import CliError
from mlops_operator.cli.manifests import Rerun, Submission, named, rerun_names, settings
from tests.unit.cli.entries import run


def test_a_rerun_is_the_same_again_and_says_of_what() -> None:
    old = run()
    before = copy.deepcopy(old)
    spec = Rerun().spec(old)
    assert old == before
    assert spec["rerunOf"] == {"name": "wine", "uid": "00000001-0000-4000-8000-000000000001"}
    assert spec["parameters"] == {"learning_rate": 0.01, "epochs": 3}
    assert spec["datasets"] == [{"name": "wine", "include": ["*.csv"], "version": "2"}]
    assert spec["source"]["git"]["ref"] == "c" * 40
    assert spec["image"] == "python-ml:1"
    assert spec["outputs"] == {"model": {"name": "wine"}}, "its number is used"
    assert not {"archived", "displayName", "cancel"} & set(spec)
    TrainingRun.from_object(named("wine-r2", spec))


def test_a_parameter_is_changed_and_a_new_one_only_on_request() -> None:
    assert Rerun(["learning_rate=0.1"]).spec(run())["parameters"] == {"learning_rate": 0.1, "epochs": 3}
    with pytest.raises(CliError, match="did you mean learning_rate"):
        Rerun(["learning_rat=0.1"]).spec(run())
    with pytest.raises(CliError, match="it has epochs, learning_rate"):
        Rerun(["momentum=0.1"]).spec(run())
    assert Rerun([], ["momentum=0.1"]).spec(run())["parameters"]["momentum"] == 0.1


def test_the_newest_data_and_code_on_request() -> None:
    spec = Rerun(latest=True).spec(run())
    assert "version" not in spec["datasets"][0]
    assert spec["source"]["git"]["ref"] == "main"


def test_the_exact_image_on_request() -> None:
    assert Rerun(exact_image=True).spec(run())["image"].startswith("docker.io/python-ml@sha256:aaa")
    unknown = run()
    unknown["status"]["resolved"]["image"] = "python-ml:1"
    with pytest.raises(CliError, match="--exact-image"):
        Rerun(exact_image=True).spec(unknown)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wine", ["wine-r2", "wine-r3"]),
        ("wine-r2", ["wine-r3", "wine-r4"]),
        ("wine-r", ["wine-r-r2", "wine-r-r3"]),
        ("x" * 52, ["x" * 49 + "-r2", "x" * 49 + "-r3"]),
    ],
)
def test_names(name: str, expected: list[str]) -> None:
    assert list(islice(rerun_names(name), 2)) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=3", 3),
        ("a=0.1", 0.1),
        ("a=1e-3", 0.001),
        ("a=true", True),
        ("a=adam", "adam"),
        ("a=", ""),
        ("a=[1]", "[1]"),
        ("a=b=c", "b=c"),
        ("a='3'", "3"),
        ("a={", "{"),
    ],
)
def test_values(text: str, value: object) -> None:
    found = settings([text], "--set")["a"]
    assert (found, type(found)) == (value, type(value))


def test_a_value_without_a_name_is_refused() -> None:
    with pytest.raises(CliError, match="--set must look like name=value"):
        settings(["0.1"], "--set")


def test_a_submission(tmp_path: Path) -> None:
    script = tmp_path / "Train_It.py"
    script.write_text("print('trained')")
    helper = tmp_path / "helper.py"
    helper.write_text("x = 1")
    manifest = Submission(
        script,
        "python-ml:1",
        files=[helper],
        parameters=["lr=0.1"],
        datasets=["wine", "grapes:2"],
        model="wine",
        env=["A=b"],
        memory="1Gi",
        accelerator="gpu:2",
        args=["--epochs", "3"],
    ).manifest()
    assert manifest["metadata"] == {"generateName": "train-it-"}
    spec = manifest["spec"]
    assert spec["source"] == {"inline": {"files": {"Train_It.py": "print('trained')", "helper.py": "x = 1"}}}
    assert (spec["command"], spec["args"]) == (["python", "Train_It.py"], ["--epochs", "3"])
    assert spec["datasets"] == [{"name": "wine"}, {"name": "grapes", "version": "2"}]
    assert spec["accelerator"] == {"class": "gpu", "count": 2}
    assert spec["resources"] == {"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}}
    assert not {"experiment", "deadlineSeconds"} & set(spec), "what is not asked for is left to the defaults"
    manifest["metadata"] = {"name": "x"}
    TrainingRun.from_object(manifest)


def test_a_script_that_is_too_large_is_told_where_to_go(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("#" * 40_000)
    with pytest.raises(CliError, match="Git repository"):
        Submission(script, "python-ml:1").manifest()
