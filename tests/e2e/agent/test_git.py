"""Code from a real Git server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_operator.agent.git import clone_code
from mlops_operator.api.base import SecretRef
from mlops_operator.api.sources import GitSource
from mlops_operator.errors import SourceNotFound
from tests.e2e.agent.git_server import GitServer

FILES = {"train.py": "print(1)\n", "models/small/a.py": "A = 1\n"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    (tmp_path / "git").mkdir()
    with GitServer(tmp_path / "git") as server:
        yield server


@pytest.mark.parametrize("ref", ["HEAD", "main", "v1"])
def test_a_ref_becomes_its_commit(server: GitServer, tmp_path: Path, ref: str) -> None:
    commit = server.create("code", FILES)
    assert clone_code(GitSource(url=server.url("code"), ref=ref), tmp_path / "code", None) == commit
    assert (tmp_path / "code" / "train.py").read_text() == "print(1)\n"


def test_a_commit_is_fetched_alone_and_a_folder_used(server: GitServer, tmp_path: Path) -> None:
    commit = server.create("code", FILES)
    source = GitSource(url=server.url("code"), ref=commit, path="models/small")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "old").write_text("of an earlier try")
    assert clone_code(source, tmp_path / "code", None) == commit
    assert [path.name for path in (tmp_path / "code").iterdir()] == ["a.py"]


def test_a_server_of_protocol_0_serves_too(server: GitServer, tmp_path: Path) -> None:
    commit = server.create("code", FILES)
    server.protocol = ""
    assert clone_code(GitSource(url=server.url("code"), ref=commit), tmp_path / "code", None) == commit


def test_credentials_are_read_from_the_mounted_files(server: GitServer, tmp_path: Path) -> None:
    commit = server.create("private", FILES)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "username").write_text("alice")
    (secret / "password").write_text("right")
    source = GitSource(url=server.url("private"), credentials_secret_ref=SecretRef(name="git-token"))
    assert clone_code(source, tmp_path / "code", secret) == commit
    assert "right" not in (tmp_path / "code" / ".git" / "config").read_text()
    (secret / "password").write_text("wrong")
    with pytest.raises(SourceNotFound, match="refused the credentials of Secret git-token") as refusal:
        clone_code(source, tmp_path / "code", secret)
    assert "wrong" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "ref", "path", "message"),
    [
        ("code", "nothing", None, "no branch or tag 'nothing'; its branches and tags are: main, v1"),
        ("code", "abcdef1", None, "abbreviat"),
        ("code", "0" * 40, None, "has no commit"),
        ("code", "main", "nowhere", "no folder 'nowhere' at main; its folders are: models"),
        ("private", "main", None, "is private, or it does not exist"),
        ("missing", "main", None, "no such repository"),
    ],
)
def test_what_is_not_there_is_told(
    server: GitServer, tmp_path: Path, *, name: str, ref: str, path: str | None, message: str
) -> None:
    server.create("code", FILES)
    server.create("private", FILES)
    with pytest.raises(SourceNotFound, match=message):
        clone_code(GitSource(url=server.url(name), ref=ref, path=path), tmp_path / "code", None)
