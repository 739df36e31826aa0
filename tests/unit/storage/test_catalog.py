"""The catalogue as a client sees it: walked with pystac, validated, and complete after races."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args
from urllib.parse import unquote

import pystac
import pytest

from hack.stac import use_offline, validate_item
from mlops_operator.api.modelversion import ModelMetadata, Task
from mlops_operator.api.trainingdataset import TrainingDatasetSpec
from mlops_operator.api.wire import TensorInfo
from mlops_operator.errors import AlreadyExists
from mlops_operator.storage.catalog import Catalogue
from mlops_operator.storage.dataset_manifest import write_dataset_manifest
from mlops_operator.storage.items import model_item
from mlops_operator.storage.model_store import store_model
from mlops_operator.storage.publish import publish_dataset, publish_model, version_order
from tests.unit.storage.examples import NOW, RUN, dataset_manifest, finished_run
from tests.unit.storage.memory import MemoryBucket

WORKSPACE = "ws-alice"
SPEC = {
    "version": "1",
    "source": {"git": {"url": "https://git.example.org/a/wine.git"}},
    "extent": {"bbox": [5, 45, 11, 48], "interval": ["2020-01-01T00:00:00Z", "2020-12-31T00:00:00Z"]},
    "license": "CC-BY-4.0",
    "providers": [{"name": "ESA", "roles": ["producer"]}],
}


def stored_model(bucket: MemoryBucket, version: str = "1", **changes: Any) -> None:
    run = RUN.model_copy(update={"uid": hashlib.sha256(version.encode()).hexdigest()})
    finished_run(bucket, run=run, **changes)
    store_model(bucket, "wine", version, run, now=NOW)


def published_model(bucket: MemoryBucket, catalogue: Catalogue, version: str = "1", **metadata: Any) -> str:
    return publish_model(
        catalogue,
        bucket,
        workspace=WORKSPACE,
        model="wine",
        version=version,
        metadata=ModelMetadata(**metadata),
        now=NOW,
    )


def published_dataset(bucket: MemoryBucket, catalogue: Catalogue) -> str:
    write_dataset_manifest(bucket, dataset_manifest())
    spec = TrainingDatasetSpec.model_validate(SPEC)
    return publish_dataset(
        catalogue, bucket, workspace=WORKSPACE, name="wine", version="1", spec=spec, now=NOW
    )


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue()


def opened(bucket: MemoryBucket) -> pystac.Catalog:
    io = use_offline(bucket.get_bytes)
    return pystac.Catalog.from_file(f"s3://{WORKSPACE}/stac/catalog.json", stac_io=io)


def test_a_client_that_knows_only_the_bucket_finds_and_checks_the_model(
    bucket: MemoryBucket, catalogue: Catalogue
) -> None:
    published_dataset(bucket, catalogue)
    stored_model(bucket)
    published_model(bucket, catalogue, tasks=["classification"], architecture="MLP")

    root = opened(bucket)
    root.validate_all()
    items = {item.id: item for item in root.get_items(recursive=True) if item.collection_id == "ai-model"}
    item = items["ws-alice.wine.1"]
    models = [asset for asset in item.assets.values() if "mlm:model" in (asset.roles or [])]
    assert len(models) == 1
    assert models[0].media_type == "application/octet-stream; framework=onnx"
    href = models[0].get_absolute_href()
    assert href == "s3://ws-alice/mlops/models/wine/1/model.onnx"
    data = bucket.get_bytes(href.removeprefix("s3://ws-alice/"))
    assert models[0].extra_fields["file:checksum"] == "1220" + hashlib.sha256(data).hexdigest()
    assert models[0].extra_fields["file:size"] == len(data)
    assert item.bbox == [5, 45, 11, 48], "the extent of its dataset"
    derived = item.get_single_link("derived_from")
    assert derived is not None
    assert derived.get_absolute_href() == "s3://ws-alice/stac/collections/dataset/items/ws-alice.wine.1.json"
    assert item.properties["mlops:metrics"] == {"accuracy": 0.97}
    assert item.properties["mlm:framework"] == "scikit-learn"
    assert item.properties["mlm:hyperparameters"] == {"learning_rate": 0.01, "odd_name": "x"}
    assert item.properties["mlm:input"][0]["input"]["shape"] == [-1, 6]


def test_every_asset_is_there(bucket: MemoryBucket, catalogue: Catalogue) -> None:
    stored_model(bucket)
    published_model(bucket, catalogue)
    published_dataset(bucket, catalogue)
    for item in opened(bucket).get_items(recursive=True):
        for asset in item.assets.values():
            assert unquote(str(asset.get_absolute_href())).removeprefix("s3://ws-alice/") in bucket.objects


@pytest.mark.parametrize("kind", ["onnx", "skops", "pickle", "pytorch", "mlflow", "other"])
def test_items_of_every_format_are_valid(bucket: MemoryBucket, kind: str) -> None:
    tensors = [
        TensorInfo(name="x", data_type="other", shape=[]),
        TensorInfo(name="", data_type="uint8", shape=[1, 2, 3, -1, 5]),
    ]
    finished_run(bucket, format=kind, inputs=tensors, outputs=tensors, framework_version="2.3")
    manifest = store_model(bucket, "wine", "1", RUN, now=NOW).manifest
    metadata = ModelMetadata(tasks=[*get_args(Task)][:8], bbox=[170, -10, -170, 10])
    item = model_item(manifest, metadata, workspace=WORKSPACE, now=NOW, predecessor="0")
    validate_item(item)
    assert item["geometry"]["type"] == "MultiPolygon"


@pytest.mark.parametrize("task", get_args(Task))
def test_every_task_of_the_api_is_valid(bucket: MemoryBucket, task: Any) -> None:
    finished_run(bucket, inputs=[], outputs=[])
    manifest = store_model(bucket, "wine", "1", RUN, now=NOW).manifest
    validate_item(model_item(manifest, ModelMetadata(tasks=[task]), workspace=WORKSPACE, now=NOW))


def test_a_wrong_item_is_found(bucket: MemoryBucket) -> None:
    finished_run(bucket)
    manifest = store_model(bucket, "wine", "1", RUN, now=NOW).manifest
    for name, value in (("mlm:name", "x"), ("ml-model:framework", "onnx"), ("mlm:tasks", ["downscaling"])):
        item = model_item(manifest, ModelMetadata(), workspace=WORKSPACE, now=NOW)
        item["properties"][name] = value
        with pytest.raises(pystac.STACValidationError):
            validate_item(item)


def test_racing_publications_lose_no_link(bucket: MemoryBucket, catalogue: Catalogue) -> None:
    versions = [str(number) for number in range(1, 13)]
    for version in versions:
        stored_model(bucket, version)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda version: published_model(bucket, catalogue, version), versions))
    items = {item.id for item in opened(bucket).get_items(recursive=True)}
    assert items == {f"ws-alice.wine.{version}" for version in versions}


def test_nothing_changed_nothing_written(bucket: MemoryBucket, catalogue: Catalogue) -> None:
    stored_model(bucket)
    published_model(bucket, catalogue)
    written = len(bucket.writes)
    published_model(bucket, Catalogue())
    assert len(bucket.writes) == written
    published_model(bucket, catalogue, description="New words", license="MIT")
    assert bucket.writes[written:] == [
        "stac/collections/ai-model/items/ws-alice.wine.1.json",
        "stac/collections/ai-model/collection.json",
    ]


def test_an_item_of_another_workspace_stays(bucket: MemoryBucket, catalogue: Catalogue) -> None:
    stored_model(bucket)
    key = published_model(bucket, catalogue)
    bucket.put_bytes(
        key, bucket.get_bytes(key).replace(b'"mlops:owner":"ws-alice"', b'"mlops:owner":"ws-bob"')
    )
    with pytest.raises(AlreadyExists, match="belongs to ws-bob"):
        published_model(bucket, catalogue, description="Mine now")
    with pytest.raises(AlreadyExists, match="belongs to ws-bob"):
        catalogue.withdraw(bucket, "ai-model", "ws-alice.wine.1", workspace=WORKSPACE)


def test_withdrawn_items_leave_the_catalogue(bucket: MemoryBucket, catalogue: Catalogue) -> None:
    for version in ("1", "2"):
        stored_model(bucket, version)
        published_model(bucket, catalogue, version)
    catalogue.withdraw(bucket, "ai-model", "ws-alice.wine.1", workspace=WORKSPACE)
    root = opened(bucket)
    root.validate_all()
    assert [item.id for item in root.get_items(recursive=True)] == ["ws-alice.wine.2"]


def test_the_version_before_is_linked(bucket: MemoryBucket, catalogue: Catalogue) -> None:
    for version in ("9", "10"):
        stored_model(bucket, version)
        published_model(bucket, catalogue, version)
    item = next(i for i in opened(bucket).get_items(recursive=True) if i.id == "ws-alice.wine.10")
    link = item.get_single_link("predecessor-version")
    assert link is not None
    assert link.get_absolute_href() == "s3://ws-alice/stac/collections/ai-model/items/ws-alice.wine.9.json"


def test_versions_sort_as_people_sort_them() -> None:
    versions = ["1", "1.9", "1.10", "2.0.0-rc1", "2.0.0-rc10", "2.0.0", "2.0.1", "10"]
    assert sorted(set(versions), key=version_order) == versions
