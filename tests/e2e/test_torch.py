"""Real PyTorch on two workers, by the sample as it is. Its image is large, so the test runs only when asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from hack.images.catalogue import chosen, keyed

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

SAMPLE = Path(__file__).resolve().parents[2] / "manifests/samples/distributed/training-run-torchrun.yaml"


@pytest.mark.on_demand
def test_torchrun_trains_on_two_workers(workspace: Workspace) -> None:
    manifest = yaml.safe_load(SAMPLE.read_text(encoding="utf-8"))
    assert manifest["spec"]["image"] == keyed(next(chosen(["python-torch"]))).reference
    workspace.apply(manifest)
    run = workspace.succeeded("line-torchrun", timeout=600)
    prefix = f"{workspace.run_prefix(run)}attempts/1/"
    for index, log in enumerate(("logs/train.log", "workers/1/logs/train.log")):
        assert f"worker {index} of 2".encode() in workspace.read(prefix + log)
    losses = [json.loads(line)["value"] for line in workspace.read(f"{prefix}metrics.jsonl").splitlines()]
    assert len(losses) == 60
    assert losses[-1] < losses[0] / 100, "the gradients of both led to the line"
    assert run["status"]["model"]["path"]
    workspace.check_files(run)
