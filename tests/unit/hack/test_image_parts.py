"""The parts of a build: Debian's sources, pip's platforms, what is pruned."""

from pathlib import Path

from hack.images.base import Source, parse_targets
from hack.images.dependencies import platforms, prune

LISTING = """\
Debian|http://mirror.test/debian/|bookworm|main
Debian|http://mirror.test/debian/|bookworm-updates|main
Debian|http://mirror.test/debian/|bookworm|non-free
Debian|http://mirror.test/debian/|trixie|main
Node|http://other.test/node/|bookworm|main
"""


def test_only_debians_own_sources_of_the_suite_are_used() -> None:
    assert parse_targets(LISTING) == [
        Source("http://mirror.test/debian/", "bookworm", "main"),
        Source("http://mirror.test/debian/", "bookworm-updates", "main"),
    ]


def test_wheels_for_an_older_c_library_are_taken_and_for_a_newer_one_not() -> None:
    tags = platforms("x86_64")
    assert {"manylinux_2_36_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"} <= set(tags)
    assert "manylinux_2_37_x86_64" not in tags


def test_scripts_and_other_services_go_and_the_rest_stays(tmp_path: Path) -> None:
    for name in (
        "bin/tool",
        "botocore/data/ec2/x.json",
        "botocore/data/s3/x.json",
        "botocore/data/endpoints.json",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    prune(tmp_path)

    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"botocore/data/s3/x.json", "botocore/data/endpoints.json"}
