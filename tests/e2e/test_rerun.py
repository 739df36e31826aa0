"""A deterministic training gives the same model again, byte by byte."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.e2e.plugin import Plugin
from tests.e2e.workspace import IMAGE

if TYPE_CHECKING:
    from hack.services.git import GitService
    from hack.services.s3 import S3Service
    from tests.e2e.kube import Kube, Object
    from tests.e2e.workspace import Workspace

SAMPLE = Path(__file__).resolve().parents[2] / "manifests" / "samples" / "landcover"


def sample(name: str, url: str) -> Object:
    """Give a manifest of the sample, with the code and data of this repository."""
    found: Object = yaml.safe_load((SAMPLE / name).read_text(encoding="utf-8"))
    found["spec"]["source"]["git"]["url"] = url
    return found


def onnx(workspace: Workspace, run: Object) -> dict[str, Any]:
    manifest = workspace.manifest(run)
    (entry,) = [file for file in manifest["model"]["files"] if file["path"].endswith(".onnx")]
    return {"sha256": entry["sha256"], "commit": manifest["commit"], "metrics": manifest["metrics"]}


def test_a_rerun_of_the_landcover_sample_gives_the_same_file(
    workspace: Workspace, kube: Kube, s3: S3Service, git: GitService, tmp_path: Path
) -> None:
    url = git.create_repository("alice", workspace.name)
    commit = git.push_folder(url, SAMPLE, ["*.tif"], "Classify a Landsat scene")
    run = sample("training-run.yaml", url)
    run["spec"] |= {
        "image": IMAGE,
        "resources": {
            "requests": {"cpu": "200m", "memory": "512Mi"},
            "limits": {"cpu": "2", "memory": "1Gi"},
        },
    }
    workspace.apply(sample("training-dataset.yaml", url), run)
    first = workspace.succeeded("landcover")

    # The branch moves on; the rerun takes the commit that the run had.
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "README.md").write_text("Nothing to train here.\n")
    git.push_folder(url, tmp_path / "moved", [], "Remove the code")
    plugin = Plugin.installed(tmp_path / "bin", kube, workspace.name, s3.host_endpoint)
    assert plugin.said("rerun", "landcover").strip() == "landcover-r2"
    again = workspace.succeeded("landcover-r2")

    one, two = onnx(workspace, first), onnx(workspace, again)
    assert one["commit"] == two["commit"] == commit
    assert first["status"]["resolved"]["image"] == again["status"]["resolved"]["image"]
    assert first["status"]["resolved"]["datasets"] == again["status"]["resolved"]["datasets"]
    assert one["sha256"] == two["sha256"]
