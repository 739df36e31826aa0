"""Same files, same digest, wherever they lie."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_operator.api.wire import FileEntry
from mlops_operator.errors import IntegrityError
from mlops_operator.storage.digest import canonical_json, files_digest, multihash, sha256_file

entries = st.lists(
    st.builds(
        FileEntry,
        path=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
        size_bytes=st.integers(0, 2**50),
        sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    ),
    unique_by=lambda entry: entry.path,
    max_size=8,
)


def test_the_digest_is_that_of_the_canonical_list() -> None:
    files = [FileEntry(path="b", size_bytes=2, sha256="y"), FileEntry(path="ä", size_bytes=1, sha256="x")]
    text = '[["b",2,"y"],["ä",1,"x"]]'
    assert files_digest(files) == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


# A busy machine is slow to make the first example.
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(entries, st.randoms())
def test_the_order_does_not_matter(files: list[FileEntry], random: object) -> None:
    shuffled = list(files)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert files_digest(shuffled) == files_digest(files)


# A busy machine is slow to make the first example.
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(entries.filter(bool), st.sampled_from(["path", "size_bytes", "sha256"]))
def test_every_part_matters(files: list[FileEntry], part: str) -> None:
    value = {"path": files[0].path + "x" * 30, "size_bytes": files[0].size_bytes + 1, "sha256": "changed"}[
        part
    ]
    changed = [files[0].model_copy(update={part: value}), *files[1:]]
    assert files_digest(changed) != files_digest(files)


def test_a_path_twice_is_refused() -> None:
    with pytest.raises(IntegrityError, match="'a' stands twice"):
        files_digest(
            [FileEntry(path="a", size_bytes=1, sha256="x"), FileEntry(path="a", size_bytes=2, sha256="y")]
        )


def test_canonical_json_knows_no_nan() -> None:
    assert canonical_json({"b": 1, "a": "ü"}) == '{"a":"ü","b":1}'.encode()
    with pytest.raises(ValueError, match="Out of range float"):
        canonical_json(float("nan"))


def test_sha256_of_a_file(tmp_path: Path) -> None:
    data = b"x" * (3 << 20)
    (tmp_path / "f").write_bytes(data)
    assert sha256_file(tmp_path / "f") == hashlib.sha256(data).hexdigest()
    assert multihash("ab") == "1220ab"
