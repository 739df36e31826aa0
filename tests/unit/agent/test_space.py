"""Datasets that do not fit are told of with both numbers, before anything is downloaded."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlops_operator.agent import space
from mlops_operator.agent.failure import report_of
from mlops_operator.agent.places import Places
from mlops_operator.api.wire import DatasetFile, DatasetManifest, StagedDataset
from mlops_operator.errors import DiskLimitExceeded
from mlops_operator.storage.client import Bucket
from mlops_operator.storage.digest import files_digest
from tests.unit.domain.world import START

FILES = [
    DatasetFile(path=path, size_bytes=size, sha256="0" * 64) for path, size in (("a.csv", 60), ("b.txt", 50))
]


class Manifests(Bucket):
    """Every key is the manifest of two files, 110 bytes in all."""

    def __init__(self) -> None:
        pass

    def get_bytes(self, key: str, **_: object) -> bytes:  # noqa: ARG002 - the same for each
        manifest = DatasetManifest(
            name="d", version="1", digest=files_digest(FILES), files=FILES, size_bytes=110, created_at=START
        )
        return manifest.model_dump_json(by_alias=True).encode()


def datasets(*names: str, include: list[str] | None = None) -> list[StagedDataset]:
    return [
        StagedDataset(
            name=n, version="1", digest=files_digest(FILES), manifest="k", include=include, path=f"/d/{n}"
        )
        for n in names
    ]


@pytest.mark.parametrize("limit", [None, 220, 10**9])
def test_what_fits(tmp_path: Path, limit: int | None) -> None:
    space.check_space(datasets("x", "y"), limit, Manifests(), Places(tmp_path))


def test_only_what_is_downloaded_counts(tmp_path: Path) -> None:
    space.check_space(datasets("x", "y", include=["*.csv"]), 120, Manifests(), Places(tmp_path))


def test_more_than_the_run_may_write(tmp_path: Path) -> None:
    with pytest.raises(
        DiskLimitExceeded, match=r"220 bytes \(x: 110, y: 110\), and the pod may write 219"
    ) as error:
        space.check_space(datasets("x", "y"), 219, Manifests(), Places(tmp_path))
    assert report_of(error.value).cause == "DiskLimitExceeded"


def test_more_than_the_node_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=219))
    with pytest.raises(OSError, match=r"220 bytes .*, 219 are free") as error:
        space.check_space(datasets("x", "y"), None, Manifests(), Places(tmp_path))
    assert error.value.errno == errno.ENOSPC
    assert report_of(error.value).cause == "StorageFull"
