"""Builds without Docker: buildah, in a chroot, on top of a debootstrapped base."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hack.images.base import REMOVED, debootstrap, write_apt_configuration
from hack.images.catalogue import RECIPE, SUITE, Keyed
from hack.images.command import run
from hack.images.content import content_key
from hack.images.locking import only_one
from hack.images.progress import step


@dataclass(frozen=True)
class Buildah:
    """Builds into a store of its own below the cache, so that removing the cache removes all of it."""

    cache: Path

    @property
    def _store(self) -> list[str | Path]:
        store = self.cache / "store"
        return ["buildah", "--root", store, "--runroot", store / "run", "--storage-driver", "overlay"]

    def _has(self, reference: str) -> bool:
        return bool(run([*self._store, "images", "--quiet", "--filter", f"reference={reference}"]).strip())

    def base(self) -> str:
        """Give the reference of the base image in the store, made when it is not there."""
        key = content_key({"suite": SUITE, "removed": "\n".join(REMOVED), "recipe": RECIPE})
        reference = f"localhost/debian-minbase:{key}"
        with only_one(self.cache / "base.lock"):
            if not self._has(reference):
                self._make_base(reference)
        return reference

    def _make_base(self, reference: str) -> None:
        root = self.cache / "debootstrap"
        with step(f"Debian 12 ({SUITE}), a minimal root file system"):
            debootstrap(root)
            container = run([*self._store, "from", "scratch"]).strip()
            try:
                run([*self._store, "add", "--quiet", container, root, "/"])
                run([*self._store, "config", "--cmd", "bash", container])
                run([*self._store, "commit", "--quiet", container, reference])
            finally:
                run([*self._store, "rm", container])
                shutil.rmtree(root)

    def build(self, image: Keyed, context: Path, named: Mapping[str, Path], archive: Path) -> None:
        """Build one target and write it as an archive.

        Parameters
        ----------
        context
            The build context: the clone.
        named
            Named build contexts, which take the place of stages.
        archive
            The docker archive to write, uncompressed: loading is then a copy.
        """
        base = self.base()
        mounts = write_apt_configuration(self.cache / "apt" / image.image.short_name)
        arguments = ["--build-arg", f"BASE={base}"]
        for name, folder in named.items():
            arguments += ["--build-context", f"{name}={folder}"]
        for path, inside in mounts.items():
            arguments += ["--volume", f"{path}:{inside}:ro"]
        run([
            *self._store, "bud", "--layers", "--pull-never", "--isolation", "chroot", "--network", "host", *arguments,
            "--target", image.image.target, "--tag", image.keyed_reference,
            "--file", context / image.image.containerfile, context,
        ])  # fmt: skip
        run(
            [
                *self._store,
                "push",
                "--quiet",
                image.keyed_reference,
                f"docker-archive:{archive}:{image.reference}",
            ]
        )
