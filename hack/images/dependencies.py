"""Python packages for an image, fetched by the host's pip: its configuration never reaches an image."""

import platform
import shutil
import sys
from pathlib import Path

from hack.images.command import run
from hack.images.content import content_key
from hack.images.locking import only_one

PYTHON = "3.11"
# The C library of Debian 12 is 2.36: wheels for it or for an older one run there.
NEWEST_GLIBC = 36
OLDEST_GLIBC = 5
# botocore describes every service of AWS in 25 MB; we speak to S3 alone.
AWS_SERVICES = frozenset({"s3", "sts"})


def platforms(machine: str) -> list[str]:
    """Give pip's platform tags that run on Debian 12, the newest first."""
    newer = [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)]
    return [*newer, *(f"{name}_{machine}" for name in ("manylinux2014", "manylinux2010", "manylinux1"))]


def prune(site: Path) -> None:
    """Remove what never runs in an image: console scripts with the host's Python in them, other AWS services."""
    shutil.rmtree(site / "bin", ignore_errors=True)
    described = site / "botocore" / "data"
    if described.is_dir():
        for entry in described.iterdir():
            if entry.is_dir() and entry.name not in AWS_SERVICES:
                shutil.rmtree(entry)


def make_site(requirements: Path, cache: Path) -> Path:
    """Give a folder with `site/`, the installed packages of a requirements file; made once per content.

    Parameters
    ----------
    requirements
        A requirements file with pinned versions, with or without hashes.
    cache
        The folder that keeps what was made.

    Raises
    ------
    ImageError
        If pip fails; the message carries what it said.
    """
    key = content_key({"requirements": requirements.read_text(), "python": PYTHON, "recipe": "1"})
    made = cache / "site" / f"{requirements.stem}-{key}"
    with only_one(cache / "site" / f"{requirements.stem}.lock"):
        if made.exists():
            return made
        work = made.with_suffix(".part")
        shutil.rmtree(work, ignore_errors=True)
        tags = [word for tag in platforms(platform.machine()) for word in ("--platform", tag)]
        run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--only-binary", ":all:",
             "--disable-pip-version-check", "--implementation", "cp", "--python-version", PYTHON, *tags,
             "--target", work / "site", "--requirement", requirements],
        )  # fmt: skip
        prune(work / "site")
        work.rename(made)
    return made
