"""Content keys: what changes an image, and nothing else, changes its name."""

from dataclasses import replace
from pathlib import Path

import pytest

from hack.cluster.places import Places
from hack.images.catalogue import IMAGES, ON_DEMAND, Dependencies, Image, Keyed, chosen, inputs_of, keyed
from hack.images.content import content_key, digest_of
from hack.images.errors import ImageError

IMAGE = Image(
    "localhost/thing",
    "Containerfile",
    "thing",
    sources=("package",),
    dependencies=Dependencies("deps", "requirements.txt"),
    go={"tool": "tool"},
    binaries={"server": "bin/server"},
)


def clone(root: Path) -> Places:
    files = {
        "Containerfile": "FROM scratch",
        "requirements.txt": "six==1",
        "package/a.py": "a = 1",
        "package/sub/b.py": "b = 1",
        "tool/go.mod": "module tool",
        "tool/main.go": "package main",
        "tool/main_test.go": "package main",
        ".state/bin/server": "binary",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Places(root)


def test_the_same_content_elsewhere_has_the_same_key(tmp_path: Path) -> None:
    one, other = clone(tmp_path / "one"), clone(tmp_path / "other")
    (other.clone / "package/__pycache__").mkdir()
    (other.clone / "package/__pycache__/a.pyc").write_bytes(b"x")

    assert keyed(IMAGE, one) == keyed(IMAGE, other)


@pytest.mark.parametrize(
    "changed",
    ["Containerfile", "requirements.txt", "package/a.py", "package/sub/b.py", "tool/main.go", "tool/go.mod",
     ".state/bin/server"],
)  # fmt: skip
def test_each_input_changes_the_key(tmp_path: Path, changed: str) -> None:
    places = clone(tmp_path)
    before = keyed(IMAGE, places).key
    (tmp_path / changed).write_text("changed")

    assert keyed(IMAGE, places).key != before


def test_a_renamed_file_and_another_target_change_the_key(tmp_path: Path) -> None:
    places = clone(tmp_path)
    before = keyed(IMAGE, places).key
    assert keyed(replace(IMAGE, target="other"), places).key != before
    (tmp_path / "package/a.py").rename(tmp_path / "package/c.py")

    assert keyed(IMAGE, places).key != before


def test_what_is_not_part_of_an_image_keeps_the_key(tmp_path: Path) -> None:
    places = clone(tmp_path)
    before = keyed(IMAGE, places).key
    (tmp_path / "tool/main_test.go").write_text("changed")
    (tmp_path / "tool/README.md").write_text("new")
    (tmp_path / "README.md").write_text("new")

    assert keyed(IMAGE, places).key == before


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    places = clone(tmp_path)
    (tmp_path / "requirements.txt").unlink()
    with pytest.raises(ImageError, match=r"requirements\.txt"):
        inputs_of(IMAGE, places)
    clone(tmp_path)
    (tmp_path / ".state/bin/server").unlink()
    with pytest.raises(ImageError, match=r"hack\.cluster build"):
        inputs_of(IMAGE, places)


def test_the_executable_bit_counts(tmp_path: Path) -> None:
    path = tmp_path / "run.sh"
    path.write_text("#!/bin/sh")
    before = digest_of(tmp_path, "run.sh")
    path.chmod(0o755)

    assert digest_of(tmp_path, "run.sh") != before


def test_names_and_values_do_not_run_together() -> None:
    assert content_key({"a": "bc"}) != content_key({"ab": "c"})
    assert content_key({"a": "1", "b": "2"}) == content_key({"b": "2", "a": "1"})


def test_a_fixed_tag_has_a_second_name_by_content() -> None:
    fixed = Keyed(replace(IMAGE, tag="1"), "0123456789abcdef")
    assert (fixed.reference, fixed.keyed_reference) == (
        "localhost/thing:1",
        "localhost/thing:0123456789abcdef",
    )
    assert Keyed(IMAGE, "0123456789abcdef").reference == "localhost/thing:0123456789abcdef"


def test_images_are_chosen_by_short_name() -> None:
    assert [image.target for image in chosen(["mlops-agent", "gitea"])] == ["agent", "gitea"]
    assert tuple(chosen([])) == IMAGES
    assert not {image.short_name for image in ON_DEMAND} & {image.short_name for image in IMAGES}
    assert tuple(chosen(["python-torch"])) == ON_DEMAND
    with pytest.raises(ImageError, match="mlops-operator"):
        tuple(chosen(["nothing"]))
