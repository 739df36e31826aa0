"""The certificates that the operator trusts when it dials S3."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile

import certifi


def write_bundle(extra_pem: str) -> Path:
    """Write a bundle of the usual roots and the platform's own; it stays as long as the process."""
    with NamedTemporaryFile("w", prefix="mlops-ca-", suffix=".crt", delete=False) as file:
        file.write(Path(certifi.where()).read_text(encoding="ascii"))
        file.write(f"\n{extra_pem.strip()}\n")
    return Path(file.name)
