"""The demo as a newcomer plays it, and then somebody who knows only the bucket: both models are found and used."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hack.demo.scenes import WORKSPACE, Demo
from manifests.samples import predict
from tests.e2e.kube import condition, phase

if TYPE_CHECKING:
    from tests.e2e.kube import Kube

ROOT = Path(__file__).resolve().parents[2]


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "hack.demo", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-4000:]
    return done


@pytest.fixture(scope="module")
def demo() -> Demo:
    """The demo, played."""
    run_demo("up")
    return Demo.connect()


def test_a_second_demo_trains_nothing(demo: Demo, kube: Kube) -> None:
    before = {p["metadata"]["uid"] for p in kube.list("Pod", WORKSPACE)}
    said = run_demo("up").stdout
    assert {p["metadata"]["uid"] for p in kube.list("Pod", WORKSPACE)} <= before
    for word in ("landcover", "wine-classifier", "valid", "s3://ws-alice/mlops", "predict.py"):
        assert word in said


def test_the_samples_did_what_they_say(demo: Demo, kube: Kube) -> None:
    wine = demo.run("wine") or {}
    assert phase(wine) == "Succeeded"
    assert condition(wine, "Ready")["status"] == "True"
    landcover = demo.run("landcover") or {}
    metrics = {m["name"]: m["latest"] for m in landcover["status"]["metrics"]}
    # Far better than always naming the most frequent class, on polygons that it has not seen.
    assert metrics["accuracy"] > metrics["baseline_accuracy"] + 0.2
    assert len(landcover["status"]["resolved"]["commit"]) == 40
    gpu = demo.run("landcover-gpu") or {}
    assert phase(gpu) == "Succeeded"


WINE = [13.2, 1.78, 2.14, 11.2, 100, 2.65, 2.76, 0.26, 1.28, 4.38, 1.05, 3.4, 1050]
PIXEL = [60, 55, 40, 70, 55, 30]


@pytest.mark.parametrize(
    ("model", "suffix", "row"),
    [("wine-classifier", ".skops", WINE), ("landcover-classifier", ".onnx", PIXEL)],
)
def test_a_client_that_knows_only_the_bucket(
    demo: Demo, model: str, suffix: str, row: list[float], tmp_path: Path
) -> None:
    """Pystac walks from the catalogue to the item; the asset's sha256 is its file:checksum; the model predicts."""
    own = demo.credentials()
    assert own is not None
    client = predict.connect(demo.s3.host_endpoint, own.access_key, own.secret_key, own.region)
    item = predict.find_model(client, WORKSPACE, model)
    path = predict.download(client, item, tmp_path)
    assert path.suffix == suffix
    checksum = predict.model_asset(item).extra_fields["file:checksum"]
    assert checksum == "1220" + hashlib.sha256(path.read_bytes()).hexdigest()
    answers = predict.predict(path, [row])
    assert len(answers) == 1
