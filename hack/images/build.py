"""Build what is not in the cache yet."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from hack.cluster.places import HERE, Places
from hack.images import docker
from hack.images.buildah import Buildah
from hack.images.catalogue import Image, Keyed, cache, go_digest, keyed
from hack.images.command import run
from hack.images.dependencies import make_site
from hack.images.docker import Docker
from hack.images.locking import only_one
from hack.images.progress import step

# Archives of the same image that stay: switching between two branches builds nothing.
KEPT = 4


class Builder(Protocol):
    """What makes an archive of an image."""

    def build(self, image: Keyed, context: Path, named: Mapping[str, Path], archive: Path) -> None:
        """Build one target with its named contexts and write it as a docker archive."""


def archive_of(image: Keyed) -> Path:
    """Give where the archive of an image lies, whether it is built or not."""
    return cache() / f"{image.image.short_name}-{image.key}.tar"


def go_program(source: Path, name: str) -> Path:
    """Give a folder that holds a static program of this name, built from a Go module; made once per content."""
    made = cache() / "go" / f"{name}-{go_digest(source)[:16]}"
    if not made.exists():
        work = made.with_suffix(".part")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        run(
            ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", work / name, "."],
            cwd=source,
            environment={"CGO_ENABLED": "0"},
        )
        work.rename(made)
    return made


def binaries_folder(image: Image, places: Places) -> Path:
    """Give a folder with copies of the built programs under the names that the Containerfile uses."""
    folder = cache() / "binaries" / image.short_name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, origin in image.binaries.items():
        path = (places.state / origin).resolve()
        if path.is_dir():
            shutil.copytree(path, folder / name)
        else:
            shutil.copy2(path, folder / name)
    return folder


def named_contexts(image: Image, places: Places) -> dict[str, Path]:
    """Make what takes the place of the Containerfile's network stages."""
    named = {}
    if image.dependencies:
        with step(f"Python packages of {image.short_name}"):
            named[image.dependencies.stage] = make_site(
                places.clone / image.dependencies.requirements, cache()
            )
    for name, source in image.go.items():
        named[name] = go_program(places.clone / source, name)
    if image.binaries:
        named["binaries"] = binaries_folder(image, places)
    return named


def prune(image: Image) -> None:
    """Remove all but the newest archives of an image."""
    pattern = f"{image.short_name}-{'[0-9a-f]' * 16}.tar"
    newest_first = sorted(cache().glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in newest_first[KEPT:]:
        path.unlink()


def build(images: Iterable[Image], places: Places = HERE) -> list[Keyed]:
    """Build those of the images that the cache does not have and give all of them with their keys.

    Raises
    ------
    ImageError
        If an input is missing or a program fails.
    """
    wanted = [keyed(image, places) for image in images]
    if all(archive_of(image).exists() for image in wanted):
        return wanted
    builder: Builder = Docker() if docker.runs() else Buildah(cache())
    for image in wanted:
        # One lock for each image: a change of the operator does not wait for the big image of the samples.
        with only_one(cache() / f"{image.image.short_name}.lock"):
            if not archive_of(image).exists():
                build_one(builder, image, places)
    return wanted


def build_one(builder: Builder, image: Keyed, places: Places) -> None:
    """Build an image and publish its archive under its final name once it is whole."""
    named = named_contexts(image.image, places)
    archive = archive_of(image)
    part = archive.with_suffix(".part")
    with step(f"image {image.reference}"):
        part.unlink(missing_ok=True)
        builder.build(image, places.clone, named, part)
        part.rename(archive)
    prune(image.image)
