"""From what is stored to the catalogue: the item of a model's or a dataset's version."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from mlops_operator.api.modelversion import ModelMetadata
from mlops_operator.api.trainingdataset import TrainingDatasetSpec
from mlops_operator.api.wire import StagedDataset
from mlops_operator.errors import ObjectNotFound
from mlops_operator.storage.catalog import Catalogue, read_item
from mlops_operator.storage.dataset_manifest import read_dataset_manifest
from mlops_operator.storage.geometry import union
from mlops_operator.storage.items import dataset_item, item_id, model_item
from mlops_operator.storage.layout import DATASET_COLLECTION, MODEL_COLLECTION, items_prefix
from mlops_operator.storage.model_store import read_model_manifest
from mlops_operator.storage.objects import Objects


def publish_model(
    catalogue: Catalogue,
    bucket: Objects,
    *,
    workspace: str,
    model: str,
    version: str,
    metadata: ModelMetadata,
    now: datetime,
) -> str:
    """Write the item of a stored version and rebuild the catalogue; gives the item's key.

    Raises
    ------
    ObjectNotFound
        The version is not stored.
    AlreadyExists
        An item of that id is another workspace's.
    """
    manifest = read_model_manifest(bucket, model, version)
    if manifest is None:
        raise ObjectNotFound(f"version {version} of model {model} is not stored in s3://{bucket.name}")
    item = model_item(
        manifest,
        metadata,
        workspace=workspace,
        now=now,
        bbox=_extent_of(bucket, workspace, manifest.datasets),
        predecessor=_predecessor(bucket, MODEL_COLLECTION, workspace, model, version),
    )
    return catalogue.publish(bucket, MODEL_COLLECTION, item, workspace=workspace)


def publish_dataset(
    catalogue: Catalogue,
    bucket: Objects,
    *,
    workspace: str,
    name: str,
    version: str,
    spec: TrainingDatasetSpec,
    now: datetime,
) -> str:
    """Write the item of a dataset's version and rebuild the catalogue; gives the item's key.

    Raises
    ------
    ObjectNotFound
        The version has no manifest.
    AlreadyExists
        An item of that id is another workspace's.
    """
    manifest = read_dataset_manifest(bucket, name, version)
    if manifest is None:
        raise ObjectNotFound(f"version {version} of dataset {name} has no manifest in s3://{bucket.name}")
    predecessor = _predecessor(bucket, DATASET_COLLECTION, workspace, name, version)
    item = dataset_item(manifest, spec, workspace=workspace, now=now, predecessor=predecessor)
    return catalogue.publish(bucket, DATASET_COLLECTION, item, workspace=workspace)


def version_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """Give a key that sorts versions as people do: 2 before 10, 1.9 before 1.10, 2.0.0-rc1 before 2.0.0."""
    release, _, candidate = version.partition("-")
    return (
        (*_parts(release), (0, 0, ""), *_parts(candidate)) if candidate else (*_parts(release), (0, 0, "~"))
    )


def _parts(text: str) -> list[tuple[int, int, str]]:
    found = re.findall(r"\d+|[a-z]+", text)
    return [(2, int(part), "") if part.isdigit() else (1, 0, part) for part in found]


def _predecessor(bucket: Objects, collection: str, workspace: str, name: str, version: str) -> str | None:
    prefix = items_prefix(collection) + item_id(workspace, name, "")
    versions = [entry.key.removeprefix(prefix).removesuffix(".json") for entry in bucket.list(prefix)]
    earlier = [other for other in versions if version_order(other) < version_order(version)]
    return max(earlier, key=version_order, default=None)


def _extent_of(bucket: Objects, workspace: str, datasets: Sequence[StagedDataset]) -> list[float] | None:
    """Where the datasets are, as their items say; None where none has an item."""
    found = (
        read_item(bucket, DATASET_COLLECTION, item_id(workspace, data.name, data.version))
        for data in datasets
    )
    return union(item["bbox"] for item in found if item is not None and item.get("bbox"))
