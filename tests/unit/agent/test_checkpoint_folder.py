"""What counts as a checkpoint, and which step its name tells."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlops_operator.agent.checkpoint_folder import (
    MAX_FILES,
    File,
    UnusableError,
    check,
    list_files,
    look,
    step_of,
)


def put(folder: Path, path: str, data: bytes = b"x", *, at: int | None = None) -> Path:
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    if at is not None:
        os.utime(place, (at, at))
    return place


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-500", 500),  # Hugging Face
        ("epoch=3-step=1200.ckpt", 1200),  # Lightning
        ("epoch=3-val_loss=0.25-step=12.ckpt", 12),
        ("epoch-007.keras", 7),  # Keras
        ("model_2.pt", 2),
        ("step_00010.h5", 10),
        ("checkpoint.5", 5),
        ("last.ckpt", None),
        ("best", None),
        ("x" * 400, None),
    ],
)
def test_the_step_in_a_name(name: str, step: int | None) -> None:
    assert step_of(name) == step


def test_entries_are_what_lies_directly_in_the_folder(tmp_path: Path) -> None:
    put(tmp_path, "new/deep/model.bin", at=300)
    put(tmp_path, "new/config.json", at=100)
    put(tmp_path, "old.ckpt", at=200)
    for passed_over in (".hidden", "half.tmp", "half.part", "tmp-checkpoint-3/x"):
        put(tmp_path, passed_over)
    (tmp_path / "empty").mkdir()
    (tmp_path / "last.ckpt").symlink_to("old.ckpt")
    put(tmp_path.parent, "outside.bin")
    (tmp_path / "new" / "out.bin").symlink_to(tmp_path.parent / "outside.bin")
    (tmp_path / "new" / "in.bin").symlink_to(tmp_path / "old.ckpt")

    assert [entry.name for entry in look(tmp_path, [])] == ["old.ckpt", "new"]
    assert [file.path for file in list_files(tmp_path, "new")] == [
        "new/config.json",
        "new/in.bin",
        "new/deep/model.bin",
    ]
    assert look(tmp_path / "nowhere", []) == []


def test_a_marker_is_in_the_folder_of_the_checkpoint(tmp_path: Path) -> None:
    put(tmp_path, "checkpoint-1/trainer_state.json")
    put(tmp_path, "checkpoint-2/deep/trainer_state.json")
    put(tmp_path, "trainer_state.json")
    marked = {entry.name: entry.marked for entry in look(tmp_path, ["trainer_state.json"])}
    assert marked == {"checkpoint-1": True, "checkpoint-2": False, "trainer_state.json": False}


def test_a_change_is_another_state(tmp_path: Path) -> None:
    place = put(tmp_path, "c/a", b"1", at=100)
    (before,) = look(tmp_path, [])
    assert look(tmp_path, []) == [before]
    os.utime(place, (101, 101))
    (touched,) = look(tmp_path, [])
    put(tmp_path, "c/a", b"12", at=100)
    (longer,) = look(tmp_path, [])
    put(tmp_path, "c/b", b"", at=100)
    (more,) = look(tmp_path, [])
    assert len({before.state, touched.state, longer.state, more.state}) == 4


def test_what_cannot_be_kept_is_told(tmp_path: Path) -> None:
    many = [File(f"c/{number}", 1, 1) for number in range(MAX_FILES + 1)]
    with pytest.raises(UnusableError, match="at most"):
        check(many, "c")
    with pytest.raises(UnusableError, match="characters"):
        check([File("c", 1, 1)], "c" * 256)
    for odd in ("c/a\nb", "c/\udcff", "../c"):
        with pytest.raises(UnusableError, match="key of S3"):
            check([File(odd, 1, 1)], "c")
    check([File("c/ä b=1.bin", 1, 1)], "c")
