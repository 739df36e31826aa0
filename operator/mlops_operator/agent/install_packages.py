"""Installs packages beside those of the image; run in the user's image by its own Python.

So it needs Python 3.8 and its standard library alone, and nothing of ours; the image must have pip. stage-in puts it into
the pod, with an earlier installation of the same requirements if the bucket has one.

usage: install_packages.py FOLDER PIP_ARGUMENT...

FOLDER/restored.tar.gz   the earlier installation: taken if it was made by this Python beside the same packages
FOLDER/venv              what comes out: a virtual environment that sees the image's packages
FOLDER/save.tar.gz       the same to be kept, if it was installed anew
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import logging
import os
import platform
import shutil
import signal
import site
import subprocess
import sys
import tarfile
import time
import venv
from pathlib import Path
from urllib.parse import urlsplit

_log = logging.getLogger(__name__)
STAMP = "venv/stamp.json"
MIN_MASKED = 6  # shorter values are part of ordinary words


def fingerprint() -> str:
    """Tell what an installation depends on beside its requirements: Python, the image's packages, pip's settings."""
    packages = sorted(
        {(d.metadata["Name"] or "", d.version or "") for d in importlib.metadata.distributions()}
    )
    settings = sorted((name, value) for name, value in os.environ.items() if name.startswith("PIP_"))
    parts = [sys.version, sys.prefix, sys.base_prefix, platform.machine(), platform.libc_ver()]
    return hashlib.sha256(json.dumps([parts, packages, settings]).encode()).hexdigest()


def unpack(archive: Path, folder: Path, stamp: str) -> bool:
    """Take an earlier installation, if its stamp is this one. A file that is no such archive is as good as none."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            first = tar.next()
            content = tar.extractfile(first) if first is not None and first.name == STAMP else None
            if content is None or json.loads(content.read()) != {"fingerprint": stamp}:
                _log.info("the image or pip's settings changed since they were kept")
                return False
            if hasattr(tarfile, "tar_filter"):
                tar.extraction_filter = tarfile.tar_filter
            tar.extractall(folder)  # noqa: S202 - what users of this bucket made, in a container of theirs
    except (OSError, EOFError, ValueError, tarfile.TarError) as error:
        _log.warning("what was kept cannot be used: %s", error)
        shutil.rmtree(folder / "venv", ignore_errors=True)
        return False
    return True


def secrets() -> list[str]:
    """Give the values that must not be told: MLOPS_ENTRYPOINT_MASK names their variables, as to the entrypoint."""
    order = json.loads(os.environ.get("MLOPS_ENTRYPOINT_MASK") or "{}")
    found = [os.environ.get(name, "") for name in order.get("names", ())]
    for folder, prefix in order.get("folders", {}).items():
        keys = [path.name for path in Path(folder).iterdir() if not path.name.startswith("..")]
        found += [os.environ.get(prefix + key, "") for key in keys]
    found += [urlsplit(value).password or "" for value in found if "://" in value]
    return sorted(
        {value.strip() for value in found if len(value.strip()) >= MIN_MASKED}, key=len, reverse=True
    )


def run(command: list[str]) -> int:
    """Run pip, without secret values in what it prints."""
    hidden = secrets()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        for line in process.stdout or ():
            for value in hidden:
                line = line.replace(value, "***")  # noqa: PLW2901
            sys.stdout.write(line)
            sys.stdout.flush()
    return process.returncode


def install(folder: Path, arguments: list[str]) -> int:
    """Install into a virtual environment that sees the image's packages, so that only what is missing comes in."""
    place = folder / "venv"
    venv.EnvBuilder(system_site_packages=True, symlinks=True, clear=True, with_pip=False).create(place)
    (inside,) = place.glob("lib/python*/site-packages")
    if sys.prefix != sys.base_prefix:
        # The image's Python is a virtual environment itself: its packages are not those of the system.
        lines = "".join(path + "\n" for path in site.getsitepackages())
        (inside / "image.pth").write_text(lines)
    command = [str(place / "bin" / "python"), "-m", "pip", "install", "--no-input", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", *arguments]
    code = run(command)
    found = importlib.metadata.distributions(path=[str(inside)])
    names = sorted(f"{d.metadata['Name']}=={d.version}\n" for d in found)
    (place / "installed.txt").write_text("".join(names))
    return code


def keep(folder: Path, stamp: str) -> None:
    """Write the installation to an archive, the stamp first."""
    temporary = folder / "save.tmp"
    with tarfile.open(temporary, "w:gz", compresslevel=1) as tar:
        content = json.dumps({"fingerprint": stamp}).encode()
        member = tarfile.TarInfo(STAMP)
        member.size, member.mtime = len(content), int(time.time())
        tar.addfile(member, io.BytesIO(content))
        tar.add(folder / "venv", "venv")
    temporary.replace(folder / "save.tar.gz")


def main(folder: Path, arguments: list[str]) -> int:
    started = time.monotonic()
    stamp = fingerprint()
    restored = folder / "restored.tar.gz"
    if restored.exists():
        taken = unpack(restored, folder, stamp)
        restored.unlink()
        if taken:
            _log.info("taken from the bucket in %.1f s", time.monotonic() - started)
            return 0
    code = install(folder, arguments)
    if code != 0:
        return code if code > 0 else 128 - code
    _log.info("installed in %.1f s", time.monotonic() - started)
    try:
        keep(folder, stamp)
    except OSError as error:
        _log.warning("they are not kept for the next run: %s", error)
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="packages: %(message)s")
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
