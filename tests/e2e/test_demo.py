"""The demo as a newcomer plays it, and then somebody who knows only the bucket: both models are found and used."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hack.demo.scenes import WORKSPACE, Demo
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


@pytest.mark.parametrize(("model", "suffix"), [("wine-classifier", ".skops"), ("landcover", ".onnx")])
def test_a_client_that_knows_only_the_bucket(demo: Demo, model: str, suffix: str, tmp_path: Path) -> None:
    """pystac walks from the catalogue to the item; the asset's sha256 is its file:checksum; the model predicts."""
    credentials = demo.credentials()
    assert credentials is not None
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_ENDPOINT_URL": demo.s3.host_endpoint,
        "AWS_REGION": credentials.region,
    }
    sys.path.insert(0, str(ROOT / "manifests" / "samples"))
    try:
        import predict  # noqa: PLC0415
    finally:
        sys.path.pop(0)
    with pytest.MonkeyPatch.context() as patched:
        for key, value in environment.items():
            patched.setenv(key, value)
        store = predict.connect()
        item = predict.find_model(store, WORKSPACE, model)
        path = predict.download(store, item, tmp_path)
        assert path.suffix == suffix
        asset = next(a for a in item.assets.values() if "mlm:model" in (a.roles or []))
        assert asset.extra_fields["file:checksum"] == "1220" + hashlib.sha256(path.read_bytes()).hexdigest()
        assert len(predict.predict(path)) > 0
