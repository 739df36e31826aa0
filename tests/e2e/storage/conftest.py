"""A real S3 server for each test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.storage.gateway import Gateway


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """Run a server on loopback."""
    folder = tmp_path / "s3"
    folder.mkdir()
    server = Gateway(folder, tmp_path / "versitygw.log")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def small_gateway(tmp_path: Path) -> Iterator[Gateway]:
    """Run a server whose disk holds 12 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)], check=True)
    server = Gateway(folder, tmp_path / "versitygw.log")
    try:
        server.start()
        yield server
    finally:
        server.kill()
        subprocess.run(["umount", str(folder)], check=True)
