"""Packages that a run adds to its image: installed by the image's own pip, and kept for the next run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.wheels import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hack.services.git import GitService
    from tests.e2e.kube import Object
    from tests.e2e.workspace import Workspace

# The package, its program, and what the image has already.
TRAIN = """\
import subprocess, sys
import greeting, numpy
assert greeting.__file__.startswith("/mlops/packages/"), greeting.__file__
assert not numpy.__file__.startswith("/mlops/packages/"), numpy.__file__
print("module:", greeting.TEXT)
print("program:", subprocess.run(["greeting"], capture_output=True, text=True, check=True).stdout)
# A program that brings its own interpreter, as torchrun does.
subprocess.run([sys._base_executable, "-c", "import greeting; print('other:', greeting.TEXT)"], check=True)
"""
REQUIREMENTS = "--no-index\n--find-links wheels\ngreeting\n"


@pytest.fixture
def repository(workspace: Workspace, git: GitService, tmp_path: Path) -> Iterator[str]:
    """The code with a wheel beside it, so that no index is needed."""
    make_wheel(tmp_path / "wheels")
    (tmp_path / "requirements.txt").write_text(REQUIREMENTS)
    (tmp_path / "train.py").write_text(TRAIN)
    url = git.create_repository("e2e", workspace.name)
    git.push_folder(url, tmp_path)
    yield url
    git.delete_repository("e2e", workspace.name)


def logs_of(workspace: Workspace, run: Object) -> str:
    number = run["status"]["attempts"][-1]["number"]
    return f"{workspace.run_prefix(run)}attempts/{number}/logs/"


def said_by_installer(workspace: Workspace, run: str) -> str:
    name = workspace.pods(run)[-1]["metadata"]["name"]
    return workspace.kube.kubectl("-n", workspace.name, "logs", name, "-c", "requirements").stdout


def test_installed_once_and_kept(workspace: Workspace, repository: str) -> None:
    spec: dict[str, Any] = {
        "source": {"git": {"url": repository}},
        "requirements": {"file": "requirements.txt"},
    }
    workspace.run("first", **spec)
    run = workspace.succeeded("first")
    logs = logs_of(workspace, run)
    said = workspace.read(logs + "train.log").decode()
    for line in ("module: hello 1.0", "program: hello 1.0", "other: hello 1.0"):
        assert line in said
    assert workspace.read(logs + "packages.txt") == b"greeting==1.0\n"
    assert "packages: installed in" in said_by_installer(workspace, "first")
    (kept,) = workspace.keys("mlops/cache/requirements/")
    assert kept.endswith(".tar.gz")

    workspace.run("second", **spec)
    run = workspace.succeeded("second")
    assert "packages: taken from the bucket" in said_by_installer(workspace, "second")
    said = workspace.read(logs_of(workspace, run) + "train.log").decode()
    assert "module: hello 1.0" in said
    assert workspace.keys("mlops/cache/requirements/") == [kept]


@pytest.mark.produces("RequirementsFailed")
def test_packages_that_there_are_not(workspace: Workspace) -> None:
    workspace.run(
        "missing", requirements={"packages": ["greeting==7"]}, env=[{"name": "PIP_NO_INDEX", "value": "1"}]
    )
    failure = workspace.failed("missing", "RequirementsFailed")
    assert (failure["side"], failure["container"]) == ("User", "requirements")
    assert "No matching distribution found for greeting==7" in failure["message"]
    assert "greeting==7" in failure["logTail"]
