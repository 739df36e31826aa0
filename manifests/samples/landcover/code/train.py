"""Learn land cover from one Landsat scene: a small neural network that looks at one pixel's six bands.

Knows nothing of Kubernetes: it reads a folder, takes parameters from the environment, appends metrics to a file as
JSON lines and leaves an ONNX file. On a laptop: python train.py
"""

import json
import os
from pathlib import Path

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before numpy is loaded; one thread gives the same result each time

import numpy as np
import rasterio
from rasterio.features import rasterize
from rasterio.warp import transform_geom
from skl2onnx import to_onnx
from sklearn.metrics import f1_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("MLOPS_DATASETS_DIR", HERE.parent.parent)) / "landcover"
MODEL_DIR = Path(os.environ.get("MLOPS_MODEL_DIR", HERE / "output"))
METRICS_FILE = Path(os.environ.get("MLOPS_METRICS_FILE", HERE / "output" / "metrics.jsonl"))

EPOCHS = int(os.environ.get("PARAM_EPOCHS", "60"))
LEARNING_RATE = float(os.environ.get("PARAM_LEARNING_RATE", "0.002"))
HIDDEN_UNITS = int(os.environ.get("PARAM_HIDDEN_UNITS", "32"))
PIXELS_PER_POLYGON = int(os.environ.get("PARAM_PIXELS_PER_POLYGON", "300"))
SEED = int(os.environ.get("PARAM_SEED", "7"))


def find(name: str) -> Path:
    """The file of the dataset, in whatever folder of it."""
    found = sorted(DATA.rglob(name))
    if not found:
        raise SystemExit(f"{name} is not in the dataset {DATA}")
    return found[0]


def read_pixels(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bands, class and polygon of the labelled pixels; of a large polygon a sample, so that the sea is not everything."""
    labels = json.loads(find("labels.geojson").read_text())["features"]
    with rasterio.open(find("L7_ETMs.tif")) as scene:
        bands = scene.read()
        shapes = [
            (transform_geom("EPSG:4326", scene.crs, feature["geometry"]), number)
            for number, feature in enumerate(labels, start=1)
        ]
        polygon_of = rasterize(shapes, out_shape=scene.shape, transform=scene.transform, dtype="int16")
    features, classes, polygons = [], [], []
    for number, feature in enumerate(labels, start=1):
        rows, columns = np.nonzero(polygon_of == number)
        kept = rng.permutation(len(rows))[:PIXELS_PER_POLYGON]
        features.append(bands[:, rows[kept], columns[kept]].T)
        classes += [feature["properties"]["class"]] * len(kept)
        polygons += [number] * len(kept)
    return np.concatenate(features).astype(np.float32), np.array(classes), np.array(polygons)


def hold_out(classes: np.ndarray, polygons: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A third of each class's polygons, whole: neighbouring pixels are alike, so no polygon is on both sides."""
    held: list[int] = []
    for name in np.unique(classes):
        numbers = np.unique(polygons[classes == name])
        held += rng.permutation(numbers)[: len(numbers) // 3].tolist()
    return np.isin(polygons, held)


def main() -> None:
    rng = np.random.default_rng(SEED)
    features, classes, polygons = read_pixels(rng)
    test = hold_out(classes, polygons, rng)
    names, counts = np.unique(classes[~test], return_counts=True)
    baseline = float(np.mean(classes[test] == names[counts.argmax()]))
    print(
        f"{(~test).sum()} pixels of {len(set(polygons[~test]))} polygons to learn from,"
        f" {test.sum()} of {len(set(polygons[test]))} others to judge by; classes: {', '.join(names)}"
    )
    print(f"always saying {names[counts.argmax()]} would be right for {baseline:.3f}")

    scaler = StandardScaler().fit(features[~test])
    train_x, test_x = scaler.transform(features[~test]), scaler.transform(features[test])
    network = MLPClassifier(
        (HIDDEN_UNITS, HIDDEN_UNITS), learning_rate_init=LEARNING_RATE, batch_size=64, random_state=SEED
    )
    MODEL_DIR.mkdir(parents=True, exist_ok=True)
    METRICS_FILE.parent.mkdir(parents=True, exist_ok=True)
    with METRICS_FILE.open("a", buffering=1) as metrics:
        for epoch in range(1, EPOCHS + 1):
            order = rng.permutation(len(train_x))
            network.partial_fit(train_x[order], classes[~test][order], classes=names)
            said = network.predict(test_x)
            line = {
                "step": epoch,
                "loss": float(network.loss_),
                "accuracy": float(np.mean(said == classes[test])),
                "f1_macro": float(f1_score(classes[test], said, average="macro")),
                "train_accuracy": float(network.score(train_x, classes[~test])),
                "baseline_accuracy": baseline,
            }
            metrics.write(json.dumps(line) + "\n")
            if epoch == 1 or epoch % 10 == 0:
                print(f"epoch {epoch}: loss {line['loss']:.4f}, accuracy {line['accuracy']:.3f}")
    for name in names:
        print(
            f"  {name}: {np.mean(said[classes[test] == name] == name):.3f} of {np.sum(classes[test] == name)} pixels right"
        )

    model = make_pipeline(scaler, network)
    onnx = to_onnx(model, features[:1], options={"zipmap": False}, target_opset=18)
    onnx.opset_import.sort(
        key=lambda opset: opset.domain
    )  # the exporter's order changes with Python's hash seed
    path = MODEL_DIR / "landcover.onnx"
    path.write_bytes(onnx.SerializeToString())
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
