"""STAC items of models and datasets, as plain dictionaries; nothing here touches the bucket.

Hrefs are relative to where an item lies, ``stac/collections/<collection>/items/<id>.json``, so that the catalogue can
be copied together with its files. Extensions: MLM v1.4.0 (the newest whose schema can be checked without a network),
ml-model v1.0.0 (deprecated, and what the platform's portal still reads), file v2.1.0, version v1.2.0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from mlops_operator.api.modelversion import ModelMetadata
from mlops_operator.api.trainingdataset import TrainingDatasetSpec
from mlops_operator.api.wire import DatasetManifest, FileEntry, ModelDescription, ModelManifest, TensorInfo
from mlops_operator.storage.digest import multihash
from mlops_operator.storage.geometry import WORLD, geometry
from mlops_operator.storage.layout import (
    DATASET_COLLECTION,
    MODEL_COLLECTION,
    dataset_manifest_key,
    model_file_key,
    model_manifest_key,
)

Item = dict[str, Any]

STAC_VERSION = "1.1.0"
MLM = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
ML_MODEL = "https://stac-extensions.github.io/ml-model/v1.0.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
VERSION = "https://stac-extensions.github.io/version/v1.2.0/schema.json"

# Whose the item is: a catalogue that several write to is changed only where this is the writer's own workspace.
OWNER = "mlops:owner"

_TO_ROOT = "../../../../"  # from an item to the root of the bucket
_GEOJSON = "application/geo+json"
_JSON = "application/json"
_BINARY = "application/octet-stream"
_UNKNOWN = "unknown"
_MAX_FILE_ASSETS = 100

# By format: media type, mlm:artifact_type (how it is loaded), framework where nothing else is known.
_FORMATS: dict[str, tuple[str, str, str | None]] = {
    "onnx": (f"{_BINARY}; framework=onnx", "onnx", "ONNX"),
    "pytorch": (f"{_BINARY}; framework=pytorch", "torch.save", "PyTorch"),
    "skops": (f"{_BINARY}; framework=scikit-learn", "skops.io.dump", "scikit-learn"),
    "pickle": (_BINARY, "pickle", None),
    "mlflow": ("text/yaml", "mlflow", None),
    "other": (_BINARY, "other", None),
}
# How MLM spells what frameworks call themselves.
_FRAMEWORKS = {
    name.lower().replace("-", "").replace(" ", ""): name
    for name in ("PyTorch", "TensorFlow", "scikit-learn", "Hugging Face", "Keras", "ONNX", "JAX", "MXNet")
} | {"sklearn": "scikit-learn", "torch": "PyTorch", "transformers": "Hugging Face"}
_SEMANTIC_VERSION = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?"
)
_MEDIA_TYPES = {
    ".csv": "text/csv",
    ".geojson": _GEOJSON,
    ".json": _JSON,
    ".parquet": "application/vnd.apache.parquet",
    ".tif": "image/tiff; application=geotiff",
    ".tiff": "image/tiff; application=geotiff",
    ".txt": "text/plain",
    ".yaml": "text/yaml",
    ".yml": "text/yaml",
}


def item_id(workspace: str, name: str, version: str) -> str:
    """Give an id that is unique across tenants: ``<workspace>.<model or dataset>.<version>``."""
    return f"{workspace}.{name}.{version}"


def model_item(
    manifest: ModelManifest,
    metadata: ModelMetadata,
    *,
    workspace: str,
    now: datetime,
    bbox: Sequence[float] | None = None,
    predecessor: str | None = None,
) -> Item:
    """Give the item of a model's version.

    Parameters
    ----------
    bbox
        Where its datasets are, if known; ``metadata.bbox`` wins, and without both it is the world.
    predecessor
        The version before it, if there is one in the catalogue.
    """
    links = [
        _link("derived_from", f"../../{DATASET_COLLECTION}/items/{quote(key)}.json", _GEOJSON)
        for key in dict.fromkeys(item_id(workspace, data.name, data.version) for data in manifest.datasets)
    ]
    if predecessor is not None:
        links.append(_predecessor(item_id(workspace, manifest.model, predecessor)))
    return _item(
        item_id(workspace, manifest.model, manifest.version),
        MODEL_COLLECTION,
        extensions=[MLM, ML_MODEL, FILE, VERSION],
        bbox=metadata.bbox or bbox or WORLD,
        properties=_common(
            workspace, manifest.version, manifest.created_at, now, title=metadata.title or manifest.model
        )
        | _described(metadata.description, metadata.license, metadata.keywords)
        | _mlm(manifest, metadata)
        | _ml_model(metadata)
        | _lineage(manifest),
        links=links,
        assets=_model_assets(manifest),
    )


def dataset_item(
    manifest: DatasetManifest,
    spec: TrainingDatasetSpec,
    *,
    workspace: str,
    now: datetime,
    predecessor: str | None = None,
) -> Item:
    """Give the item of a dataset's version: its manifest is an asset, which lists the files and their digests.

    The files themselves stay where they are, which may be closed to the reader of the catalogue.
    """
    extent = spec.extent
    properties = _common(workspace, manifest.version, manifest.created_at, now, title=manifest.name)
    properties |= _described(spec.description, spec.license, spec.keywords)
    properties |= {
        "mlops:name": manifest.name,
        "mlops:digest": manifest.digest,
        "mlops:files": len(manifest.files),
        "mlops:size": manifest.size_bytes,
        "mlops:source": (manifest.s3 or manifest.git or spec.source).to_object(),
    }
    if manifest.revision is not None:
        properties["mlops:revision"] = manifest.revision
    if spec.providers:
        properties["providers"] = [provider.to_object() for provider in spec.providers]
    if extent is not None and extent.interval is not None:
        # A range of time takes the place of the one moment (STAC: datetime is null then).
        start, end = extent.interval
        properties |= {"datetime": None, "start_datetime": start, "end_datetime": end}
    return _item(
        item_id(workspace, manifest.name, manifest.version),
        DATASET_COLLECTION,
        extensions=[FILE, VERSION],
        bbox=(extent.bbox if extent is not None else None) or WORLD,
        properties=properties,
        links=[] if predecessor is None else [_predecessor(item_id(workspace, manifest.name, predecessor))],
        assets={
            "manifest": {
                "href": _href(dataset_manifest_key(manifest.name, manifest.version)),
                "type": _JSON,
                "title": "Its files with their sizes and sha256",
                "roles": ["metadata"],
            }
        },
    )


def _item(
    identifier: str,
    collection: str,
    *,
    extensions: list[str],
    bbox: Sequence[float],
    properties: dict[str, Any],
    links: list[dict[str, Any]],
    assets: dict[str, Any],
) -> Item:
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": extensions,
        "id": identifier,
        "collection": collection,
        "geometry": geometry(bbox),
        "bbox": list(bbox),
        "properties": properties,
        "links": [
            _link("root", "../../../catalog.json", _JSON),
            _link("parent", "../collection.json", _JSON),
            _link("collection", "../collection.json", _JSON),
            *links,
        ],
        "assets": assets,
    }


def _common(workspace: str, version: str, made: datetime, now: datetime, *, title: str) -> dict[str, Any]:
    return {
        "datetime": _time(made),
        "created": _time(now),
        "updated": _time(now),
        "title": title,
        "version": version,
        OWNER: workspace,
    }


def _described(description: str | None, licence: str | None, keywords: list[str]) -> dict[str, Any]:
    properties: dict[str, Any] = {"license": licence or "other"}
    if description:
        properties["description"] = description
    if keywords:
        properties["keywords"] = list(dict.fromkeys(keywords))
    return properties


def _mlm(manifest: ModelManifest, metadata: ModelMetadata) -> dict[str, Any]:
    description = manifest.description
    tasks = list(dict.fromkeys(metadata.tasks))
    properties: dict[str, Any] = {
        "mlm:name": manifest.model,
        "mlm:architecture": metadata.architecture or _UNKNOWN,
        "mlm:tasks": tasks,
        "mlm:input": [_input(tensor) for tensor in description.inputs],
        "mlm:output": [_output(tensor, tasks) for tensor in description.outputs],
    }
    framework = metadata.framework or description.framework or _FORMATS[description.format][2]
    if framework:
        properties["mlm:framework"] = _FRAMEWORKS.get(re.sub(r"[\s-]", "", framework.lower()), framework)
    version = metadata.framework_version or description.framework_version
    if version and _SEMANTIC_VERSION.fullmatch(version):
        properties["mlm:framework_version"] = version
    if manifest.parameters:
        properties["mlm:hyperparameters"] = {
            re.sub(r"[^0-9a-zA-Z_.-]", "_", name): value for name, value in manifest.parameters.items()
        }
    return properties


def _ml_model(metadata: ModelMetadata) -> dict[str, Any]:
    task = metadata.tasks[0] if metadata.tasks else _UNKNOWN
    return {
        "ml-model:type": "ml-model",
        "ml-model:learning_approach": metadata.learning_approach,
        "ml-model:prediction_type": metadata.prediction_type or task,
        "ml-model:architecture": metadata.architecture or _UNKNOWN,
    }


def _lineage(manifest: ModelManifest) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "mlops:digest": manifest.digest,
        "mlops:size": manifest.size_bytes,
        "mlops:run": {"name": manifest.run.name, "uid": manifest.run.uid},
        "mlops:metrics": {
            metric.name: metric.latest for metric in manifest.metrics if metric.latest is not None
        },
        "mlops:datasets": [
            {"name": data.name, "version": data.version, "digest": data.digest} for data in manifest.datasets
        ],
    }
    if manifest.commit is not None:
        properties["mlops:commit"] = manifest.commit
    return properties


def _input(tensor: TensorInfo) -> dict[str, Any]:
    # Bands cannot be read from a file; a list that names some would have to be described by another extension.
    return {"name": tensor.name or _UNKNOWN, "bands": [], "input": _structure(tensor)}


def _output(tensor: TensorInfo, tasks: Sequence[str]) -> dict[str, Any]:
    return {"name": tensor.name or _UNKNOWN, "tasks": list(tasks), "result": _structure(tensor)}


def _structure(tensor: TensorInfo) -> dict[str, Any]:
    # A scalar has no dimension, and MLM wants one.
    shape = [max(size, -1) for size in tensor.shape] or [1]
    return {"shape": shape, "dim_order": _dimensions(len(shape)), "data_type": tensor.data_type}


def _dimensions(count: int) -> list[str]:
    """Names of dimensions, of which a file tells only the number; MLM wants them distinct and without digits."""
    if count <= 2:  # noqa: PLR2004 - what nearly every table model has
        return ["batch", "feature"][:count]
    return ["batch", *(f"axis-{_letters(index)}" for index in range(count - 1))]


def _letters(index: int) -> str:
    head, tail = divmod(index, 26)
    return (_letters(head - 1) if head else "") + chr(ord("a") + tail)


def _model_assets(manifest: ModelManifest) -> dict[str, Any]:
    description = manifest.description
    others = [file for file in manifest.files if file.path != description.main_file]
    main = next(file for file in manifest.files if file.path == description.main_file)
    taken = {file.path for file in others}
    key = "model" if "model" not in taken else description.main_file
    assets = {key: _file_asset(manifest, main) | _main(description)}
    for file in others[: _MAX_FILE_ASSETS - 1]:
        assets[file.path] = _file_asset(manifest, file) | {"roles": ["data"]}
    if "manifest" not in assets:
        assets["manifest"] = {
            "href": _href(model_manifest_key(manifest.model, manifest.version)),
            "type": _JSON,
            "title": "All files, the run, its parameters and metrics",
            "roles": ["metadata"],
        }
    return assets


def _main(description: ModelDescription) -> dict[str, Any]:
    media_type, artifact_type, _ = _FORMATS[description.format]
    return {"type": media_type, "roles": ["mlm:model"], "mlm:artifact_type": artifact_type}


def _file_asset(manifest: ModelManifest, file: FileEntry) -> dict[str, Any]:
    return {
        "href": _href(model_file_key(manifest.model, manifest.version, file.path)),
        "type": _media_type(file.path),
        "title": file.path,
        "file:size": file.size_bytes,
        "file:checksum": multihash(file.sha256),
    }


def _media_type(path: str) -> str:
    suffix = path[path.rfind(".") :].lower() if "." in path else ""
    return _MEDIA_TYPES.get(suffix, _BINARY)


def _href(key: str) -> str:
    return _TO_ROOT + quote(key)


def _predecessor(identifier: str) -> dict[str, Any]:
    return _link("predecessor-version", f"./{quote(identifier)}.json", _GEOJSON)


def _link(rel: str, href: str, media_type: str) -> dict[str, Any]:
    return {"rel": rel, "href": href, "type": media_type}


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")
