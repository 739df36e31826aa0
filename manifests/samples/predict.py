"""Find a model in the catalogue of a workspace's bucket, download it, check it, and predict with it.

It knows nothing but the bucket: no Kubernetes, no service. It needs boto3 and pystac, and to predict onnxruntime (for
.onnx) or skops and scikit-learn (for .skops).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import pystac
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pystac.stac_io import DefaultStacIO

COLLECTION = "ai-model"
SHA256_MULTIHASH = "1220"  # what file:checksum begins with: sha2-256, 32 bytes
CHUNK_BYTES = 1 << 20

EPILOG = """
The bucket's endpoint and keys come from the options or from AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY and AWS_REGION, the names that the workspace's Secret has.

examples:
  %(prog)s --bucket ws-alice list
  %(prog)s --bucket ws-alice download wine-classifier --to models/
  %(prog)s --bucket ws-alice predict wine-classifier --values 13.2,1.78,2.14,11.2,100,2.65,2.76,0.26,1.28,4.38,1.05,3.4,1050
  %(prog)s --bucket ws-alice predict landcover-classifier --version 1 --csv pixels.csv
"""


class ModelError(Exception):
    """What is wrong, and what to do about it."""


class BucketIO(DefaultStacIO):
    """Lets pystac read ``s3://bucket/key`` and nothing else."""

    def __init__(self, client: Any) -> None:
        super().__init__()
        self.client = client

    def read_text(self, source: pystac.link.HREF, *args: Any, **kwargs: Any) -> str:
        """Give the text of an object."""
        bucket, key = split(os.fspath(source))
        try:
            body: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            raise ModelError(f"s3://{bucket}/{key} cannot be read: {error}") from error
        return body.decode()


def split(uri: str) -> tuple[str, str]:
    """Give bucket and key of an address in the catalogue, whose path is percent-encoded as in every URL."""
    parts = urlsplit(uri)
    if parts.scheme != "s3":
        raise ModelError(f"{uri} is outside the bucket; nothing but s3:// is followed")
    return parts.netloc, unquote(parts.path.lstrip("/"))


def connect(
    endpoint: str | None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    region: str | None = None,
    *,
    ca_bundle: str | None = None,
) -> Any:
    """Give an S3 client; what is None comes from the environment (``AWS_*``)."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        region_name=region or os.environ.get("AWS_REGION") or "us-east-1",
        verify=ca_bundle,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


def models(client: Any, bucket: str) -> list[pystac.Item]:
    """Walk ``stac/catalog.json`` to the items of all models, each with absolute addresses; oldest first."""
    catalog = pystac.Catalog.from_file(f"s3://{bucket}/stac/catalog.json", stac_io=BucketIO(client))
    collection = catalog.get_child(COLLECTION)
    if collection is None:
        raise ModelError(
            f"s3://{bucket}/stac/catalog.json has no collection {COLLECTION}: no model is published yet"
        )
    return sorted(collection.get_items(), key=lambda item: (str(item.properties.get("created", "")), item.id))


def find_model(client: Any, bucket: str, model: str, version: str | None = None) -> pystac.Item:
    """Give the item of a model's version; without one, of the version that was made last.

    Raises
    ------
    ModelError
        If there is none; the message names those that there are.
    """
    known = models(client, bucket)
    for item in reversed(known):
        if item.properties.get("mlm:name") == model and version in (None, item.properties.get("version")):
            return item
    names = ", ".join(f"{item.properties.get('mlm:name')} {item.properties.get('version')}" for item in known)
    raise ModelError(f"{bucket} has no model {model} {version or ''}; it has: {names or 'none'}")


def model_asset(item: pystac.Item) -> pystac.Asset:
    """Give the one asset that is the model."""
    found = [asset for asset in item.assets.values() if asset.has_role("mlm:model")]
    if len(found) != 1:
        raise ModelError(f"{item.id} has {len(found)} assets with the role mlm:model instead of one")
    return found[0]


def download(client: Any, item: pystac.Item, folder: Path) -> Path:
    """Download the model of an item and check it; a file that is there and right is left alone.

    Raises
    ------
    ModelError
        If the bytes are not those that the item tells: then no file is left.
    """
    asset = model_asset(item)
    bucket, key = split(asset.get_absolute_href() or asset.href)
    told = str(asset.extra_fields.get("file:checksum", ""))
    if not re.fullmatch(SHA256_MULTIHASH + "[0-9a-f]{64}", told):
        raise ModelError(f"{item.id}: file:checksum is {told!r}, not a sha256 ({SHA256_MULTIHASH}…)")
    path = folder / item.id / Path(key).name
    if path.exists() and digest(path) == told.removeprefix(SHA256_MULTIHASH):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        client.download_file(bucket, key, str(partial))
        actual = digest(partial)
        if actual != told.removeprefix(SHA256_MULTIHASH):
            raise ModelError(
                f"s3://{bucket}/{key} has the sha256 {actual}, but {item.id} tells {told[4:]}: do not use it"
            )
        partial.replace(path)
    except ClientError as error:
        raise ModelError(f"s3://{bucket}/{key} cannot be downloaded: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def digest(path: Path) -> str:
    """Give the sha256 of a file, as hexadecimal digits."""
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            sha256.update(chunk)
    return sha256.hexdigest()


def predict(path: Path, rows: Sequence[Sequence[float]]) -> list[Any]:
    """Give the model's first answer for each row of numbers."""
    import numpy as np

    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        answers: Any = session.run(None, {name: np.asarray(rows, dtype=np.float32)})[0]
    elif path.suffix == ".skops":
        import skops.io

        unknown = skops.io.get_untrusted_types(file=path)
        if unknown:
            raise ModelError(f"{path} holds types that are not loaded unseen: {', '.join(unknown)}")
        answers = skops.io.load(path, trusted=[]).predict(np.asarray(rows, dtype=np.float64))
    else:
        raise ModelError(f"{path}: only .onnx and .skops are known here")
    listed: list[Any] = np.asarray(answers).tolist()
    return listed


def read_rows(values: Iterable[str], table: Path | None) -> list[list[float]]:
    """Give the rows of numbers of the command line and of a CSV file, whose header, if any, is left out."""
    rows = [text.split(",") for text in values]
    if table is not None:
        with table.open(newline="") as file:
            lines = [row for row in csv.reader(file) if row]
        rows += lines[1:] if lines and not is_number(lines[0][0]) else lines
    try:
        return [[float(value) for value in row] for row in rows]
    except ValueError as error:
        raise ModelError(f"not a number: {error}") from error


def is_number(text: str) -> bool:
    """Tell whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def parser() -> argparse.ArgumentParser:
    """Give the command line."""
    top = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument(
        "--bucket", default=os.environ.get("BUCKET"), help="the workspace's bucket (default: $BUCKET)"
    )
    top.add_argument("--endpoint", help="address of the S3 server (default: $AWS_ENDPOINT_URL)")
    top.add_argument("--ca-bundle", help="certificates to trust (PEM; default: $AWS_CA_BUNDLE)")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="the models and their versions, oldest first")
    for name, text in (
        ("download", "download and check a model"),
        ("predict", "download a model and predict"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("model", help="name of the model, such as wine-classifier")
        command.add_argument("--version", help="its version (default: the one made last)")
        command.add_argument(
            "--to", type=Path, default=Path("models"), help="folder to keep it in (default: %(default)s)"
        )
        if name == "predict":
            command.add_argument(
                "--values",
                action="append",
                default=[],
                help="one row: numbers with commas between; repeatable",
            )
            command.add_argument("--csv", type=Path, help="a CSV file, a row a line, header or not")
    return top


def run(arguments: argparse.Namespace, client: Any) -> None:
    """Do what the command line asks for, and print it."""
    if arguments.command == "list":
        for item in models(client, arguments.bucket):
            asset = model_asset(item)
            print(
                item.properties.get("mlm:name"),
                item.properties.get("version"),
                asset.get_absolute_href(),
                sep="\t",
            )
        return
    rows = read_rows(arguments.values, arguments.csv) if arguments.command == "predict" else []
    if arguments.command == "predict" and not rows:
        raise ModelError("nothing to predict: give --values 1,2,3 or --csv FILE")
    item = find_model(client, arguments.bucket, arguments.model, arguments.version)
    path = download(client, item, arguments.to)
    print(f"{path}: sha256 as in {item.id}", file=sys.stderr)
    if arguments.command == "download":
        print(path)
    for answer in predict(path, rows) if rows else []:
        print(answer)


def main() -> int:
    """Run the command line; 1 when something is wrong, with a sentence that says what."""
    top = parser()
    arguments = top.parse_args()
    if not arguments.bucket:
        top.error("which bucket? Give --bucket NAME or set BUCKET")
    try:
        run(arguments, connect(arguments.endpoint, ca_bundle=arguments.ca_bundle))
    except (ModelError, BotoCoreError, OSError) as error:
        print(f"predict.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
