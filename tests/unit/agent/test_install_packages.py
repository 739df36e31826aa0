"""The installer as it runs in the user's image: a real pip, a wheel on the disk, no network."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlops_operator.agent import install_packages
from tests.wheels import make_wheel

SCRIPT = Path(install_packages.__file__)


@dataclass
class Container:
    """Its folder, and the source beside it."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "packages"

    def install(self, *lines: str, **environment: str) -> subprocess.CompletedProcess[str]:
        self.folder.mkdir(exist_ok=True)
        (self.root / "requirements.txt").write_text("\n".join(["--no-index", "--find-links wheels", *lines]))
        command = [sys.executable, str(SCRIPT), str(self.folder), "-r", "requirements.txt"]
        variables = {"HOME": str(self.root), "PATH": os.environ["PATH"], **environment}
        return subprocess.run(
            command,
            cwd=self.root,
            env=variables,
            text=True,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def program(self) -> str:
        return subprocess.run(
            [self.folder / "venv/bin/greeting"], capture_output=True, text=True, check=True
        ).stdout

    def begin_anew(self) -> None:
        """As the next run does: with what was kept, and nothing else."""
        kept = (self.folder / "save.tar.gz").read_bytes()
        for path in sorted(self.folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        (self.folder / "restored.tar.gz").write_bytes(kept)


@pytest.fixture
def container(tmp_path: Path) -> Container:
    make_wheel(tmp_path / "wheels")
    return Container(tmp_path)


def test_installed_kept_and_taken_again(container: Container) -> None:
    done = container.install("greeting")
    assert done.returncode == 0, done.stdout
    assert "packages: installed in" in done.stdout
    assert container.program() == "hello 1.0\n"
    assert (container.folder / "venv/installed.txt").read_text() == "greeting==1.0\n"
    container.begin_anew()
    again = container.install("greeting")
    assert again.returncode == 0, again.stdout
    assert "packages: taken from the bucket" in again.stdout
    assert container.program() == "hello 1.0\n"
    assert not (container.folder / "save.tar.gz").exists(), "what is there already is not kept again"
    assert not (container.folder / "restored.tar.gz").exists()


def test_another_image_or_index_installs_anew(container: Container) -> None:
    assert container.install("greeting").returncode == 0
    container.begin_anew()
    done = container.install("greeting", PIP_RETRIES="0")
    assert "the image or pip's settings changed" in done.stdout
    assert "packages: installed in" in done.stdout


@pytest.mark.parametrize("content", [b"no archive", b"escape"])
def test_what_is_no_archive_of_ours_is_as_good_as_none(container: Container, content: bytes) -> None:
    container.folder.mkdir()
    if content == b"escape":
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            tar.addfile(tarfile.TarInfo("../outside"))
        content = buffer.getvalue()
    (container.folder / "restored.tar.gz").write_bytes(content)
    done = container.install("greeting")
    assert done.returncode == 0, done.stdout
    assert container.program() == "hello 1.0\n"
    assert not (container.root / "outside").exists()


def test_what_cannot_be_installed_is_told_by_pip(container: Container) -> None:
    done = container.install(
        "greeting==7",
        "--extra-index-url ${INDEX}",
        INDEX="https://alice:top-secret-word@pypi.example.org/simple?key=other-secret",
        MLOPS_ENTRYPOINT_MASK='{"names": ["INDEX"]}',
    )
    assert done.returncode == 1
    assert "top-secret-word" not in done.stdout
    assert "other-secret" not in done.stdout
    assert "No matching distribution found for greeting==7" in done.stdout
    assert not (container.folder / "save.tar.gz").exists()
