"""The client that knows only the bucket, on a catalogue in memory; the e2e suite runs it on the real one, skops too."""

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from manifests.samples import predict as client_of_models

BUCKET = "ws-alice"
# An ONNX model with one node: ArgMax(x float[?, 3], axis 1) -> class int64[?].
ARG_MAX = (
    "CAgSADpbCjAKAXgSBWNsYXNzIgZBcmdNYXgqCwoEYXhpcxgBoAECKg8KCGtlZXBkaW1zGACgAQISAWdaEQoBeBIMCgoIARIGCgAK"
    "AggDYhEKBWNsYXNzEggKBggHEgIKAEIECgAQEg=="
)


class MemoryS3:
    """The two calls that are used, over a dictionary."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        assert Bucket == BUCKET
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": Key}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[Key])}

    def download_file(self, bucket: str, key: str, path: str) -> None:
        Path(path).write_bytes(self.get_object(Bucket=bucket, Key=key)["Body"].read())


def link(rel: str, href: str) -> dict[str, str]:
    return {"rel": rel, "href": href, "type": "application/json"}


def item(model: str, version: str, created: str, file: str, content: bytes) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": f"{BUCKET}.{model}.{version}",
        "collection": "ai-model",
        "geometry": {"type": "Point", "coordinates": [0, 0]},
        "bbox": [0, 0, 0, 0],
        "properties": {"datetime": created, "created": created, "mlm:name": model, "version": version},
        "links": [link("root", "../../../catalog.json"), link("parent", "../collection.json")],
        "assets": {
            file: {
                "href": f"../../../../mlops/models/{model}/{version}/{file.replace(' ', '%20')}",
                "roles": ["mlm:model"],
                "file:checksum": "1220" + hashlib.sha256(content).hexdigest(),
            },
            "manifest": {
                "href": f"../../../../mlops/models/{model}/{version}/manifest.json",
                "roles": ["metadata"],
            },
        },
    }


@pytest.fixture
def onnx_model() -> bytes:
    return base64.b64decode(ARG_MAX)


@pytest.fixture
def s3(onnx_model: bytes) -> MemoryS3:
    items = [
        item("wine-classifier", "10", "2026-01-03T00:00:00Z", "model.onnx", onnx_model),
        item("wine-classifier", "9", "2026-01-02T00:00:00Z", "model.onnx", b"older"),
        item("landcover-classifier", "1", "2026-01-01T00:00:00Z", "land cover.onnx", onnx_model),
    ]
    collection = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": "ai-model",
        "description": "models",
        "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [
            link("root", "../../catalog.json"),
            *(link("item", f"./items/{each['id']}.json") for each in items),
        ],
    }
    catalog = {
        "type": "Catalog",
        "stac_version": "1.1.0",
        "id": BUCKET,
        "description": "all",
        "links": [link("root", "./catalog.json"), link("child", "./collections/ai-model/collection.json")],
    }
    objects: dict[str, Any] = {
        "stac/catalog.json": catalog,
        "stac/collections/ai-model/collection.json": collection,
    } | {f"stac/collections/ai-model/items/{each['id']}.json": each for each in items}
    return MemoryS3(
        {key: json.dumps(value).encode() for key, value in objects.items()}
        | {
            "mlops/models/wine-classifier/10/model.onnx": onnx_model,
            "mlops/models/wine-classifier/9/model.onnx": b"overwritten",
            "mlops/models/landcover-classifier/1/land cover.onnx": onnx_model,
        }
    )


def test_the_newest_version_is_downloaded_and_predicts(s3: MemoryS3, tmp_path: Path) -> None:
    found = client_of_models.find_model(s3, BUCKET, "wine-classifier")
    assert found.properties["version"] == "10"
    path = client_of_models.download(s3, found, tmp_path)
    assert client_of_models.predict(path, [[0, 5, 1], [7, 5, 1]]) == [1, 0]


def test_onnx_predicts(s3: MemoryS3, tmp_path: Path) -> None:
    found = client_of_models.find_model(s3, BUCKET, "landcover-classifier", "1")
    path = client_of_models.download(s3, found, tmp_path)
    assert client_of_models.predict(path, [[0, 5, 1], [7, 5, 1]]) == [1, 0]


def test_a_format_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(client_of_models.ModelError, match="only"):
        client_of_models.predict(tmp_path / "model.pkl", [[1]])


def test_other_bytes_are_refused_and_not_left(s3: MemoryS3, tmp_path: Path) -> None:
    found = client_of_models.find_model(s3, BUCKET, "wine-classifier", "9")
    with pytest.raises(client_of_models.ModelError, match="do not use it"):
        client_of_models.download(s3, found, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_right_file_is_not_downloaded_again(s3: MemoryS3, tmp_path: Path) -> None:
    found = client_of_models.find_model(s3, BUCKET, "wine-classifier")
    path = client_of_models.download(s3, found, tmp_path)
    del s3.objects["mlops/models/wine-classifier/10/model.onnx"]
    assert client_of_models.download(s3, found, tmp_path) == path
    path.write_bytes(b"damaged")
    with pytest.raises(client_of_models.ModelError, match="cannot be downloaded"):
        client_of_models.download(s3, found, tmp_path)


@pytest.mark.parametrize(("model", "version"), [("none", None), ("wine-classifier", "11")])
def test_an_unknown_model_names_the_known(s3: MemoryS3, model: str, version: str | None) -> None:
    with pytest.raises(client_of_models.ModelError, match=r"wine-classifier 10"):
        client_of_models.find_model(s3, BUCKET, model, version)


def test_an_empty_bucket_says_so() -> None:
    with pytest.raises(client_of_models.ModelError, match=r"stac/catalog\.json cannot be read"):
        client_of_models.models(MemoryS3({}), BUCKET)


def test_nothing_outside_the_bucket_is_followed() -> None:
    with pytest.raises(client_of_models.ModelError, match="outside the bucket"):
        client_of_models.split("https://example.org/catalog.json")


def test_rows_come_from_the_command_line_and_csv(tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("a,b\n3,4\n\n5,6\n")
    assert client_of_models.read_rows(["1,2"], table) == [[1, 2], [3, 4], [5, 6]]
    table.write_text("3,4\n")
    assert client_of_models.read_rows([], table) == [[3, 4]]
    with pytest.raises(client_of_models.ModelError, match="x"):
        client_of_models.read_rows(["1,x"], None)


def test_the_command_line_lists_and_predicts(
    s3: MemoryS3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parse = client_of_models.parser().parse_args
    client_of_models.run(parse(["--bucket", BUCKET, "list"]), s3)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[:2] for line in lines] == [
        ["landcover-classifier", "1"],
        ["wine-classifier", "9"],
        ["wine-classifier", "10"],
    ]
    arguments = ["--bucket", BUCKET, "predict", "wine-classifier", "--values", "1,2,9", "--to", str(tmp_path)]
    client_of_models.run(parse(arguments), s3)
    assert capsys.readouterr().out == "2\n"
