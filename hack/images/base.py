"""Debian 12 without a registry: the root file system that debootstrap makes, and where its packages come from."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from hack.images.catalogue import SUITE
from hack.images.command import run
from hack.images.errors import ImageError

# Papers and translations: nobody reads them in an image.
REMOVED = (
    "usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian",
    "var/cache/apt/archives", "var/lib/apt/lists", "var/log/bootstrap.log", "var/log/dpkg.log",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One line of a sources.list."""

    uri: str
    release: str
    component: str

    def __str__(self) -> str:
        """Give the line."""
        return f"deb {self.uri} {self.release} {self.component}"


def parse_targets(listing: str) -> list[Source]:
    """Read the lines that `apt-get indextargets` wrote in our format; only Debian's own of our suite count."""
    sources = []
    for line in listing.splitlines():
        origin, uri, release, component = line.split("|")
        if origin == "Debian" and release.split("-")[0] == SUITE and component == "main":
            sources.append(Source(uri, release, component))
    return sources


def host_sources() -> list[Source]:
    """Give the host's own package sources, which are used while building and never stay in an image.

    Raises
    ------
    ImageError
        If the host has none for Debian 12 and DEBIAN_MIRROR does not name one.
    """
    if mirror := os.environ.get("DEBIAN_MIRROR"):
        return [Source(mirror, SUITE, "main")]
    form = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    sources = parse_targets(run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"]))
    if not any(source.release == SUITE for source in sources):
        raise ImageError(
            f"This machine has no package source for Debian 12 ({SUITE}): run `apt-get update`, or set "
            "DEBIAN_MIRROR to the address of a mirror."
        )
    return sources


def write_apt_configuration(folder: Path) -> dict[Path, str]:
    """Write what apt needs inside a build and give it as mounts: file on the host → path in the build."""
    folder.mkdir(parents=True, exist_ok=True)
    listing, options = folder / "sources.list", folder / "99build"
    listing.write_text("".join(f"{source}\n" for source in host_sources()))
    # A chroot without user namespaces cannot drop to the user _apt.
    lines = ['APT::Sandbox::User "root";', 'Acquire::Retries "3";']
    mounts = {listing: "/etc/apt/sources.list", options: "/etc/apt/apt.conf.d/99build"}
    authorities = Path("/etc/ssl/certs/ca-certificates.crt")
    if authorities.exists():
        mounts[authorities] = "/run/build-authorities.crt"
        lines.append('Acquire::https::CaInfo "/run/build-authorities.crt";')
    options.write_text("\n".join(lines) + "\n")
    return mounts


def debootstrap(folder: Path) -> None:
    """Make the root file system of a minimal Debian 12.

    Raises
    ------
    ImageError
        If debootstrap is missing or fails.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    mirror = next(source.uri for source in host_sources() if source.release == SUITE)
    run(["debootstrap", "--variant=minbase", SUITE, folder, mirror])
    for name in REMOVED:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
            path.mkdir()
        else:
            path.unlink(missing_ok=True)
    (folder / "etc/apt/sources.list").write_text("")
    excluded = "".join(f"path-exclude=/{name}/*\n" for name in REMOVED if name.startswith("usr/"))
    (folder / "etc/dpkg/dpkg.cfg.d/no-papers").write_text(excluded)
    # debootstrap copies the host's own; a container gets its name and resolver from its runtime.
    (folder / "etc/hostname").unlink(missing_ok=True)
    (folder / "etc/resolv.conf").unlink(missing_ok=True)
