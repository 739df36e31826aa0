"""The client against a real S3 server: races, refusals, faults, large files."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_operator.errors import (
    AlreadyExists,
    IntegrityError,
    MlopsError,
    ObjectNotFound,
    StorageDenied,
    StorageFull,
    StorageUnavailable,
)
from mlops_operator.storage import client
from mlops_operator.storage.claims import claim_version
from mlops_operator.storage.client import Bucket
from tests.e2e.storage.gateway import Gateway
from tests.unit.storage.examples import NOW

MIB = 1 << 20


def file_of(path: Path, size_bytes: int) -> str:
    """Write a file that does not repeat itself, and give its sha256."""
    data = random.Random(size_bytes).randbytes(size_bytes)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def test_of_racing_writers_one_wins(gateway: Gateway) -> None:
    bucket = gateway.bucket()

    def write(number: int) -> int | None:
        try:
            bucket.put_once("once", str(number).encode())
        except AlreadyExists:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(write, range(8)) if number is not None]
    assert len(winners) == 1
    assert bucket.get_bytes("once") == str(winners[0]).encode()


def test_racing_owners_get_different_integers(gateway: Gateway) -> None:
    owners = ["a", "b", "c", "d"] * 2
    bucket = gateway.bucket()
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda owner: claim_version(bucket, "wine", None, owner, NOW), owners))
    assert versions[:4] == versions[4:]
    assert sorted(versions[:4]) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    "request_",
    [
        lambda bucket: bucket.get_bytes("x"),
        lambda bucket: bucket.head("x"),
        lambda bucket: bucket.put_once("x", b""),
        lambda bucket: list(bucket.list("")),
        lambda bucket: bucket.delete("x"),
    ],
)
def test_a_wrong_secret_is_denied(gateway: Gateway, request_: Callable[[Bucket], object]) -> None:
    wrong = replace(gateway.credentials, secret_access_key="not-the-secret")
    with pytest.raises(StorageDenied, match="check the credentials") as caught:
        request_(Bucket(lambda: wrong))
    assert "not-the-secret" not in f"{caught.value!r} {wrong!r}"


def test_credentials_rolled_over_are_read_again(gateway: Gateway, tmp_path: Path) -> None:
    bucket = gateway.bucket()
    sha256 = file_of(tmp_path / "f", 20 * MIB)
    bucket.put_bytes("before", b"1")
    gateway.kill()
    gateway.secret_access_key = "second-secret"
    gateway.start()
    bucket.upload_file(tmp_path / "f", "after", sha256=sha256)
    assert bucket.download_file("after", tmp_path / "back") == sha256


def test_new_credentials_are_waited_for(gateway: Gateway) -> None:
    stale = replace(gateway.credentials, secret_access_key="stale")
    asked = threading.Semaphore(0)
    arrived = threading.Event()

    def provide() -> Any:
        asked.release()
        return gateway.credentials if arrived.is_set() else stale

    bucket = Bucket(provide, denied_patience_seconds=60)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(bucket.put_bytes, "key", b"1")
        for _ in range(3):  # at first, after the refusal, and once more while it waits
            assert asked.acquire(timeout=30)
        arrived.set()
        written.result(timeout=30)
    assert bucket.get_bytes("key") == b"1"


@pytest.mark.parametrize("size_bytes", [0, 1, 8 * MIB, 8 * MIB + 1, 21 * MIB])
def test_a_file_comes_back_as_it_went(gateway: Gateway, tmp_path: Path, size_bytes: int) -> None:
    bucket = gateway.bucket()
    sha256 = file_of(tmp_path / "f", size_bytes)
    arrived: list[int] = []
    bucket.upload_file(tmp_path / "f", "deep/ä file", sha256=sha256, progress=arrived.append)
    found = bucket.head("deep/ä file")
    assert found is not None
    assert (found.size_bytes, found.sha256) == (size_bytes, sha256)
    assert sum(arrived) == size_bytes
    assert bucket.download_file("deep/ä file", tmp_path / "back") == sha256
    assert (tmp_path / "back").read_bytes() == (tmp_path / "f").read_bytes()


@pytest.mark.parametrize("size_bytes", [MIB, 21 * MIB])
def test_a_file_that_changed_is_not_stored(gateway: Gateway, tmp_path: Path, size_bytes: int) -> None:
    bucket = gateway.bucket()
    file_of(tmp_path / "f", size_bytes)
    with pytest.raises(IntegrityError, match="changed while it was uploaded"):
        bucket.upload_file(tmp_path / "f", "key", sha256="0" * 64)
    assert bucket.head("key") is None
    assert not [path for path in (gateway.folder / "ws-alice").rglob("*") if path.is_file()], "parts stayed"


@pytest.mark.parametrize("part_bytes", [256 * MIB, 8 * MIB])
def test_a_copy_keeps_its_sha256(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_bytes: int
) -> None:
    monkeypatch.setattr(client, "_COPY_PART_BYTES", part_bytes)
    bucket = gateway.bucket()
    sha256 = file_of(tmp_path / "f", 21 * MIB)
    bucket.upload_file(tmp_path / "f", "from", sha256=sha256, content_type="text/csv")
    bucket.copy("from", "to")
    copied = bucket.head("to")
    assert copied is not None
    assert (copied.sha256, copied.content_type) == (sha256, "text/csv")
    assert bucket.download_file("to", tmp_path / "back") == sha256


def test_what_is_not_there(gateway: Gateway, tmp_path: Path) -> None:
    bucket = gateway.bucket()
    assert bucket.head("nothing") is None
    bucket.delete("nothing")
    for request_ in (
        lambda: bucket.get_bytes("nothing"),
        lambda: bucket.copy("nothing", "there"),
        lambda: bucket.download_file("nothing", tmp_path / "f"),
        lambda: bucket.download_file("x", tmp_path / "f", bucket="no-such-bucket"),
    ):
        with pytest.raises(ObjectNotFound):
            request_()
    assert list(tmp_path.glob("*download*")) == []


def test_more_objects_than_a_page(gateway: Gateway) -> None:
    bucket = gateway.bucket()
    folder = gateway.folder / "ws-alice" / "many"
    for number in range(1005):
        (folder / f"{number:04}").mkdir(parents=True)
        (folder / f"{number:04}" / "x").write_bytes(b"1")
    names = [f"{number:04}" for number in range(1005)]
    assert [found.key for found in bucket.list("many/")] == [f"many/{name}/x" for name in names]
    assert list(bucket.list_folders("many/")) == names


@pytest.mark.parametrize("size_bytes", [7 * MIB, 20 * MIB])
def test_a_full_disk(small_gateway: Gateway, tmp_path: Path, size_bytes: int) -> None:
    bucket = small_gateway.bucket()
    first = file_of(tmp_path / "first", 7 * MIB)
    bucket.upload_file(tmp_path / "first", "first", sha256=first)
    second = file_of(tmp_path / "second", size_bytes)
    with pytest.raises(StorageFull, match="free space"):
        bucket.upload_file(tmp_path / "second", "second", sha256=second)
    assert bucket.head("second") is None
    assert bucket.download_file("first", tmp_path / "back") == first, "what was there is intact"


def test_a_server_that_stays_away(gateway: Gateway) -> None:
    bucket = gateway.bucket(patience_seconds=1)
    gateway.kill()
    with pytest.raises(StorageUnavailable, match="no whole answer came"):
        bucket.get_bytes("x")


def test_a_server_that_comes_back_within_patience(gateway: Gateway, tmp_path: Path) -> None:
    sha256 = file_of(tmp_path / "f", 40 * MIB)
    bucket = gateway.bucket(patience_seconds=60)
    first_part = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(
            bucket.upload_file, tmp_path / "f", "f", sha256=sha256, progress=lambda _bytes: first_part.set()
        )
        assert first_part.wait(60)
        gateway.kill()
        gateway.start()
        upload.result(timeout=60)
    assert bucket.download_file("f", tmp_path / "back") == sha256


def test_a_download_goes_on_where_it_broke(gateway: Gateway, tmp_path: Path) -> None:
    sha256 = file_of(tmp_path / "f", 40 * MIB)
    bucket = gateway.bucket(patience_seconds=60)
    bucket.upload_file(tmp_path / "f", "f", sha256=sha256)
    received: list[int] = []

    def break_once(size_bytes: int) -> None:
        if not received:
            gateway.kill()
            gateway.start()
        received.append(size_bytes)

    assert bucket.download_file("f", tmp_path / "back", progress=break_once) == sha256
    assert all(size > 0 for size in received), "it began anew"
    assert sum(received) == 40 * MIB


def test_messages_name_what_and_where(gateway: Gateway) -> None:
    with pytest.raises(
        MlopsError, match=rf"cannot read s3://ws-alice/a/b at http://127.0.0.1:{gateway.port}"
    ):
        gateway.bucket().get_bytes("a/b")
