"""The samples are what they say: valid manifests, one text of the training, the scene of the README, clear labels."""

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_operator.api.base import Model
from mlops_operator.api.trainingdataset import TrainingDatasetSpec
from mlops_operator.api.trainingrun import TrainingRunSpec

SAMPLES = Path(__file__).parents[3] / "manifests" / "samples"
CLASSES = {"bare", "built-up", "forest", "low-vegetation", "water"}
# The scene: longitudes and latitudes of its corners.
WEST, SOUTH, EAST, NORTH = -34.9166, -8.0410, -34.8259, -7.9498


def load(name: str) -> dict[str, Any]:
    manifest: dict[str, Any] = yaml.safe_load((SAMPLES / name).read_text())
    return manifest


@pytest.mark.parametrize(
    "path", sorted(SAMPLES.glob("*/training-*.yaml")), ids=lambda path: str(path.relative_to(SAMPLES))
)
def test_manifests_are_valid(path: Path) -> None:
    manifest = load(str(path.relative_to(SAMPLES)))
    kinds: dict[str, type[Model]] = {"TrainingRun": TrainingRunSpec, "TrainingDataset": TrainingDatasetSpec}
    kinds[manifest["kind"]].model_validate(manifest["spec"])


def test_wine_is_one_text() -> None:
    inline = load("wine/training-run.yaml")["spec"]["source"]["inline"]["files"]["train.py"]
    assert inline == (SAMPLES / "wine" / "train.py").read_text()


def test_wine_is_the_published_data() -> None:
    with (SAMPLES / "wine" / "data" / "wine.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["cultivar"] for row in rows) == {"1": 59, "2": 71, "3": 48}


def test_landcover_on_a_gpu_is_the_same_run() -> None:
    run, gpu = load("landcover/training-run.yaml")["spec"], load("landcover/training-run-gpu.yaml")["spec"]
    assert gpu.pop("accelerator") == {"class": "gpu-demo", "count": 1}
    assert gpu == run


def test_the_scene_is_the_one_described() -> None:
    digest = hashlib.sha256((SAMPLES / "landcover" / "data" / "L7_ETMs.tif").read_bytes()).hexdigest()
    assert digest in (SAMPLES / "landcover" / "README.md").read_text()


def test_labels_are_polygons_of_the_scene() -> None:
    labels = json.loads((SAMPLES / "landcover" / "data" / "labels.geojson").read_text())
    assert labels["properties"]["method"]
    assert labels["properties"]["limits"]
    counts = Counter(feature["properties"]["class"] for feature in labels["features"])
    assert set(counts) == CLASSES
    assert min(counts.values()) >= 6, "a third of each class is held out"
    assert len({feature["id"] for feature in labels["features"]}) == len(labels["features"])
    for feature in labels["features"]:
        (ring,) = feature["geometry"]["coordinates"]
        assert ring[0] == ring[-1]
        assert all(WEST <= x <= EAST and SOUTH <= y <= NORTH for x, y in ring), feature["id"]
