"""A client that knows only the bucket: from the catalogue to the model's bytes, over real S3."""

from __future__ import annotations

from pathlib import Path

import pystac

from hack.stac import use_offline
from mlops_operator.api.modelversion import ModelMetadata
from mlops_operator.storage.catalog import Catalogue
from mlops_operator.storage.claims import claim_version
from mlops_operator.storage.digest import multihash, sha256_bytes
from mlops_operator.storage.documents import encode
from mlops_operator.storage.layout import artifact_model_key, run_manifest_key
from mlops_operator.storage.model_store import store_model, verify_model
from mlops_operator.storage.publish import publish_model
from mlops_operator.storage.run_manifest import read_run_manifest, verify_files
from tests.e2e.storage.gateway import Gateway
from tests.unit.storage.examples import FILES, NOW, RUN, finished_run
from tests.unit.storage.memory import MemoryBucket


def test_from_the_run_to_the_client(gateway: Gateway, tmp_path: Path) -> None:
    bucket = gateway.bucket()
    for path, data in FILES.items():
        file = tmp_path / path
        file.write_bytes(data)
        bucket.upload_file(file, artifact_model_key(RUN, path), sha256=sha256_bytes(data))
    bucket.put_once(run_manifest_key(RUN), encode(finished_run(MemoryBucket())))
    found = read_run_manifest(bucket, RUN.name, RUN.uid)
    assert found is not None
    assert verify_files(bucket, found[0])

    version = claim_version(bucket, "wine", None, RUN.uid, NOW)
    stored = store_model(bucket, "wine", version, RUN)
    assert store_model(bucket, "wine", version, RUN).manifest == stored.manifest
    assert verify_model(bucket, stored.manifest)
    key = publish_model(
        Catalogue(),
        bucket,
        workspace="ws-alice",
        model="wine",
        version=version,
        metadata=ModelMetadata(tasks=["classification"]),
        now=NOW,
    )
    assert key == "stac/collections/ai-model/items/ws-alice.wine.1.json"

    root = pystac.Catalog.from_file("s3://ws-alice/stac/catalog.json", stac_io=use_offline(bucket.get_bytes))
    root.validate_all()
    (item,) = root.get_items(recursive=True)
    (model,) = [asset for asset in item.assets.values() if "mlm:model" in (asset.roles or [])]
    href = str(model.get_absolute_href())
    sha256 = bucket.download_file(href.removeprefix("s3://ws-alice/"), tmp_path / "model.onnx")
    assert multihash(sha256) == model.extra_fields["file:checksum"]
