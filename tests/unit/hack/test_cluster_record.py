"""The undo record: what is written is read again, the first value of a parameter stays, strangers are refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from hack.cluster.errors import ClusterError
from hack.cluster.record import Record, refusal

MINE = Path("/srv/mine")
RECORD = Record(
    owner=str(MINE),
    boot="b1",
    fingerprint="f",
    interfaces=("mlops0",),
    sysctls={"net.ipv4.ip_forward": "0"},
    paths=("/var/lib/cni",),
    iptables={"iptables": "*nat\nCOMMIT\n"},
    cgroups=("kubepods",),
)


def test_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "run" / "cluster.json"
    RECORD.save(path)
    assert Record.load(path) == RECORD
    assert [file.name for file in path.parent.iterdir()] == ["cluster.json"]


def test_no_record_is_none(tmp_path: Path) -> None:
    assert Record.load(tmp_path / "cluster.json") is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"owner": "x"}', '{"owner": "x", "boot": "y", "new": 1}']
)
def test_a_record_of_another_version_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(content)
    with pytest.raises(ClusterError, match=r"cluster\.json is not a record of this version"):
        Record.load(path)


def test_survives_only_the_same_start_of_the_machine() -> None:
    assert RECORD.survives("b1")
    assert not RECORD.survives("b2")


@pytest.mark.parametrize(
    ("owner", "take_over", "owner_exists", "refused"),
    [
        ("/srv/mine", False, True, False),
        ("/srv/other", False, True, True),
        ("/srv/other", True, True, False),
        ("/srv/other", False, False, False),
    ],
)
def test_another_clone_is_refused_unless_told_otherwise(
    owner: str, take_over: bool, owner_exists: bool, refused: bool
) -> None:
    record = replace(RECORD, owner=owner)
    reason = refusal(record, MINE, take_over=take_over, owner_exists=owner_exists)
    assert (reason is not None) == refused
    if reason:
        assert "/srv/other" in reason
        assert "TAKE_OVER=1" in reason
