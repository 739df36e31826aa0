"""Builds with a running Docker: the same Containerfiles, the same named contexts, Debian from its registry."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hack.images.catalogue import Keyed
from hack.images.command import run


def runs() -> bool:
    """Tell whether a Docker daemon answers."""
    if not shutil.which("docker"):
        return False
    question = ["docker", "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(question, capture_output=True, check=False).returncode == 0


@dataclass(frozen=True)
class Docker:
    """Builds with BuildKit."""

    def build(self, image: Keyed, context: Path, named: Mapping[str, Path], archive: Path) -> None:
        """Build one target and write it as an archive; see Buildah.build."""
        arguments = [
            word for name, folder in named.items() for word in ("--build-context", f"{name}={folder}")
        ]
        run([
            "docker", "buildx", "build", *arguments, "--target", image.image.target, "--tag", image.reference,
            "--output", f"type=docker,dest={archive}", "--file", context / image.image.containerfile, context,
        ])  # fmt: skip
