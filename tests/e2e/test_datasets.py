"""Datasets: what a version pins, that it never changes, and what is said when the source is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.kube import phase
from tests.e2e.workspace import resource

if TYPE_CHECKING:
    from pathlib import Path

    from hack.services.git import GitService
    from tests.e2e.workspace import Workspace

FILES = {"a.csv": b"1,2,3\n", "deep/b.csv": b"4,5,6\n"}


def test_versions_are_pinned_and_never_change(workspace: Workspace) -> None:
    workspace.dataset("points", FILES, version="1")
    first = workspace.until_dataset_ready("points")["status"]["versions"][0]
    assert (first["files"], first["sizeBytes"]) == (2, 12)
    manifest = workspace.read_json(first["manifest"])
    assert sorted(f["path"] for f in manifest["files"]) == ["a.csv", "deep/b.csv"]
    workspace.dataset("points", {"c.csv": b"7\n"}, version="2")
    done = workspace.until(
        "TrainingDataset", "points", lambda d: d["status"].get("current") == "2" and phase(d) == "Ready"
    )
    versions = done["status"]["versions"]
    assert [v["version"] for v in versions] == ["1", "2"]
    assert versions[0]["digest"] == first["digest"] != versions[1]["digest"]
    assert workspace.read_json(first["manifest"]) == manifest


def test_same_bytes_have_the_same_digest_wherever_they_lie(
    workspace: Workspace, git: GitService, tmp_path: Path
) -> None:
    workspace.dataset("in-bucket", FILES)
    for path, data in FILES.items():
        target = tmp_path / "data" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    url = git.create_repository("e2e", workspace.name)
    commit = git.push_folder(url, tmp_path, lfs_patterns=["*.csv"], message="Add the points")
    source = {"git": {"url": url, "ref": "main", "path": "data"}}
    workspace.apply(resource("TrainingDataset", "in-git", {"version": "1", "source": source}))
    in_bucket = workspace.until_dataset_ready("in-bucket")["status"]["versions"][0]
    in_git = workspace.until_dataset_ready("in-git")["status"]["versions"][0]
    assert in_git["digest"] == in_bucket["digest"]
    assert in_git["revision"] == commit
    script = "import os, pathlib\nassert pathlib.Path(os.environ['MLOPS_DATASETS_DIR'], 'in-git/deep/b.csv').read_text() == '4,5,6\\n'\n"
    workspace.run("reads", script, datasets=[{"name": "in-git"}])
    workspace.succeeded("reads")


def test_a_recreated_dataset_finds_its_versions(workspace: Workspace) -> None:
    workspace.dataset("kept", FILES)
    first = workspace.until_dataset_ready("kept")["status"]["versions"][0]
    workspace.delete("TrainingDataset", "kept")
    workspace.kube.until_gone("TrainingDataset", workspace.name, "kept")
    workspace.dataset("kept", {})
    second = workspace.until_dataset_ready("kept")["status"]["versions"][0]
    assert second["digest"] == first["digest"]
    assert second["createdAt"] == first["createdAt"]


def test_an_empty_source_is_said_and_mended(workspace: Workspace) -> None:
    workspace.dataset("empty", {})
    failed = workspace.until("TrainingDataset", "empty", lambda d: phase(d) == "Failed")
    assert failed["status"]["reason"] == "SourceNotFound"
    assert f"s3://{workspace.name}/data/empty/" in failed["status"]["message"]
    workspace.put("data/empty/a.csv", b"now")
    workspace.until_dataset_ready("empty")
