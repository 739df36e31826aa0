"""Under which key an installation is kept, and that nothing of the user's leads the sidecar elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_operator.agent.places import Places
from mlops_operator.agent.requirements import Keeper, digest, installed
from mlops_operator.api.wire import RequirementsOrder
from mlops_operator.errors import SourceNotFound
from mlops_operator.storage.client import Bucket

FILE = RequirementsOrder(image="python-ml:1", file="requirements.txt")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    write(folder / "requirements.txt", "-r more/base.txt\n./wheels/x.whl\nnumpy==2.4\n--find-links=links\n")
    write(folder / "more/base.txt", "-c limits.txt\n")
    write(folder / "more/limits.txt", "scipy<2\n")
    write(folder / "wheels/x.whl", "1")
    write(folder / "links/deep/y.whl", "1")
    write(folder / "train.py", "1")
    return folder


@pytest.mark.parametrize(
    "changed", ["requirements.txt", "more/base.txt", "more/limits.txt", "wheels/x.whl", "links/deep/y.whl"]
)
def test_all_that_a_file_names_counts(code: Path, changed: str) -> None:
    before = digest(FILE, code)
    write(code / "train.py", "2")
    assert digest(FILE, code) == before
    with (code / changed).open("a") as file:
        file.write("# changed\n")
    assert digest(FILE, code) != before


def test_the_image_and_the_packages_count(code: Path) -> None:
    packages = RequirementsOrder(image="a", packages=["numpy"])
    others = [
        packages.model_copy(update={"image": "b"}),
        packages.model_copy(update={"packages": ["numpy==2"]}),
        FILE,
    ]
    assert len({digest(order, code) for order in [packages, *others]}) == 4
    assert digest(packages, code) == digest(packages, code / "more")


def test_what_lies_outside_of_the_source_is_not_read(code: Path, tmp_path: Path) -> None:
    write(tmp_path / "secret.txt", "1")
    write(code / "requirements.txt", "-r ../secret.txt\n")
    before = digest(FILE, code)
    write(tmp_path / "secret.txt", "2")
    assert digest(FILE, code) == before
    (code / "requirements.txt").unlink()
    (code / "requirements.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(SourceNotFound):
        digest(FILE, code)


def test_a_missing_file_is_told_with_what_there_is(code: Path) -> None:
    with pytest.raises(
        SourceNotFound, match=r"deps.txt is no file of the source.*requirements.txt, train.py"
    ):
        digest(RequirementsOrder(image="x", file="deps.txt"), code)


class Uploads(Bucket):
    """Notes what is uploaded."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def upload_file(self, path: Path, key: str, **_: object) -> None:
        self.keys.append(f"{key} {path.read_text()}")


def test_a_new_installation_is_kept_once(tmp_path: Path) -> None:
    bucket, places = Uploads(), Places(tmp_path)
    write(tmp_path / "mlops/packages/save.tar.gz", "archive")
    for _ in range(2):
        keeper = Keeper(bucket, places, "the-key")
        keeper.start()
        assert keeper.wait(30)
    assert bucket.keys == ["the-key archive"]


@pytest.mark.parametrize("link", ["file", "folder"])
def test_no_link_of_the_users_is_followed(tmp_path: Path, link: str) -> None:
    """Otherwise the sidecar would hand out what it alone may read."""
    bucket, places = Uploads(), Places(tmp_path)
    write(tmp_path / "credentials/save.tar.gz", "secret")
    write(tmp_path / "credentials/installed.txt", "secret")
    packages = tmp_path / "mlops/packages"
    packages.mkdir(parents=True)
    (packages / "save.tar.gz").symlink_to(tmp_path / "credentials/save.tar.gz")
    if link == "folder":
        (packages / "venv").symlink_to(tmp_path / "credentials")
    else:
        write(packages / "venv/x", "")
        (packages / "venv/installed.txt").symlink_to(tmp_path / "credentials/installed.txt")
    keeper = Keeper(bucket, places, "the-key")
    keeper.start()
    assert keeper.wait(0)
    assert bucket.keys == []
    assert installed(places) is None
