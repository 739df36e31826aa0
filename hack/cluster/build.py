"""Kubernetes and its companions, built from their Go modules into a cache that all clones share.

Each target has a folder `modules/<name>` with a go.mod and go.sum of its own: they pin the versions, and for
Kubernetes and Gitea they repeat the `replace` lines that `go install` refuses in a dependency.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster import pause_image
from hack.cluster.errors import ClusterError
from hack.cluster.places import Places, cache
from hack.cluster.progress import Progress

MODULES = Path(__file__).parent / "modules"
PAUSE_SOURCE = Path(__file__).parent / "pause" / "pause.c"
PAUSE = "pause"
PAUSE_ARCHIVE = "pause.oci.tar"
KUBERNETES_VERSION = "v1.34.4"
GO_MINIMUM = (1, 24)
_COMPONENT_VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Target:
    """One Go module and the programs that are built from it."""

    name: str
    module: str
    version: str
    packages: tuple[str, ...]
    tags: str = ""
    ldflags: str = "-s -w"
    cgo: bool = False
    # Asks a program for its version: arguments, and what has to be in the answer.
    check: tuple[str, ...] = ("--version",)
    # The folders of the module that the program reads while it runs.
    data: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def programs(self) -> tuple[str, ...]:
        """The names of the executables."""
        return tuple(Path(package).name for package in self.packages)

    def go_environment(self) -> dict[str, str]:
        """Give what makes `go` behave alike on every machine."""
        # auto: where the machine's Go is older than a module asks for, Go fetches the newer one itself.
        settings = {"GOTOOLCHAIN": "auto", "GOFLAGS": "-buildvcs=false -mod=readonly", "GOWORK": "off"}
        return settings | {"CGO_ENABLED": "1" if self.cgo else "0"}

    def build_flags(self) -> list[str]:
        """Give the flags of `go build`."""
        return ["-trimpath", f"-ldflags={self.ldflags}", f"-tags={self.tags}"]

    def key(self) -> str:
        """Give the name of the cache folder: it changes with the versions, their sums and the flags."""
        recipe = [self.version, *self.packages, *self.build_flags(), str(self.cgo), *self.data]
        digest = hashlib.sha256("\0".join(recipe).encode())
        for file in sorted((MODULES / self.name).iterdir()):
            digest.update(file.read_bytes())
        return f"{self.name}-{self.version}-{digest.hexdigest()[:12]}"


TARGETS = (
    Target(
        name="kubernetes",
        module="k8s.io/kubernetes",
        version=KUBERNETES_VERSION,
        packages=tuple(
            f"k8s.io/kubernetes/cmd/{program}"
            for program in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
                "kubectl",
            )
        ),
        ldflags=" ".join(
            [
                "-s -w",
                f"-X {_COMPONENT_VERSION}.gitVersion={KUBERNETES_VERSION}",
                f"-X {_COMPONENT_VERSION}.gitMajor=1",
                f"-X {_COMPONENT_VERSION}.gitMinor={KUBERNETES_VERSION.split('.')[1]}",
            ]
        ),
    ),
    Target(
        name="coredns",
        module="github.com/coredns/coredns",
        version="v1.15.0",
        # Its own main program in modules/coredns leaves out the plugins of cloud providers.
        packages=("cluster.invalid/coredns",),
        check=("-version",),
    ),
    Target(
        name="versitygw",
        module="github.com/versity/versitygw",
        version="v1.8.0",
        packages=("github.com/versity/versitygw/cmd/versitygw",),
        ldflags="-s -w -X main.Version=v1.8.0",
    ),
    Target(
        name="gitea",
        module="code.gitea.io/gitea",
        version="v1.26.0",
        packages=("code.gitea.io/gitea",),
        tags="sqlite sqlite_unlock_notify",
        ldflags="-s -w -X main.Version=1.26.0",
        cgo=True,
        data=("options", "templates", "public"),
    ),
)


def installed(target: Target) -> Path:
    """Give the folder in the cache where a target's programs are, built or not."""
    return cache() / target.key()


def pause_folder() -> Path:
    """Give the folder in the cache where the pause image is, built or not."""
    recipe = PAUSE_SOURCE.read_bytes() + Path(pause_image.__file__).read_bytes()
    return cache() / f"{PAUSE}-{hashlib.sha256(recipe).hexdigest()[:12]}"


def pause_archive() -> Path:
    """Give the archive of the pause image."""
    return pause_folder() / PAUSE_ARCHIVE


def up_to_date() -> bool:
    """Tell whether everything is built."""
    return pause_folder().is_dir() and all(installed(target).is_dir() for target in TARGETS)


@contextmanager
def _only_builder(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another clone builds the same; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _published(folder: Path) -> Iterator[Path]:
    """Give a folder to build in, which becomes `folder` in one step if the block succeeds."""
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    draft.chmod(0o755)
    try:
        yield draft
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _go(target: Target, *arguments: str, folder: Path) -> str:
    done = subprocess.run(
        ["go", *arguments],
        cwd=folder,
        env=os.environ | target.go_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ClusterError(f"go {arguments[0]} for {target.name} failed:\n{done.stderr.strip()[-3000:]}")
    return done.stdout


def _compile(target: Target, module: Path, out: Path, progress: Progress) -> None:
    """Build all programs of a target in one go call, which shares what they have in common."""
    _go(target, "mod", "download", folder=module)
    wanted = _go(target, "list", "-deps", f"-tags={target.tags}", *target.packages, folder=module)
    progress.total(target.name, len(set(wanted.split())))
    command = ["go", "build", "-v", *target.build_flags(), "-o", f"{out}/", *target.packages]
    with subprocess.Popen(
        command,
        cwd=module,
        env=os.environ | target.go_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as build:
        last: list[str] = []
        for line in build.stderr or ():
            last = [*last[-40:], line]
            progress.step(target.name)
    if build.returncode != 0:
        raise ClusterError(f"go build of {target.name} failed:\n{''.join(last)}")


def _copy_data(target: Target, module: Path, out: Path) -> None:
    """Put beside the program the files of its module that it reads while it runs."""
    if not target.data:
        return
    described = json.loads(_go(target, "mod", "download", "-json", target.module, folder=module))
    source = Path(described["Dir"])
    for folder in target.data:
        shutil.copytree(source / folder, out / "share" / folder)
    subprocess.run(["chmod", "-R", "u+w,a+rX", str(out / "share")], check=True)
    if "public" in target.data:
        # The module carries no built web frontend; without this file Gitea does not start.
        manifest = out / "share/public/assets/.vite/manifest.json"
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_text("{}\n")


def _check(target: Target, out: Path) -> None:
    for program in target.programs:
        ask = ["version", "--client"] if program == "kubectl" else list(target.check)
        done = subprocess.run([out / program, *ask], capture_output=True, text=True, check=False)
        answer = done.stdout + done.stderr
        if target.version.removeprefix("v") not in answer:
            raise ClusterError(
                f"{program} should be {target.version} but says: {answer.strip()[:300]!r}; "
                f"remove {out.parent} and build again."
            )


def _build(target: Target, progress: Progress) -> None:
    folder = installed(target)
    if folder.is_dir():
        progress.done(target.name, "in the cache")
        return
    with _published(folder) as out, tempfile.TemporaryDirectory() as scratch:
        # A copy, since go may want to write beside go.mod, and the clone may be read by others meanwhile.
        module = Path(shutil.copytree(MODULES / target.name, Path(scratch) / "module"))
        _compile(target, module, out, progress)
        _copy_data(target, module, out)
        _check(target, out)
    progress.done(target.name, "built")


def _build_pause(progress: Progress) -> None:
    folder = pause_folder()
    if folder.is_dir():
        progress.done(PAUSE, "in the cache")
        return
    progress.total(PAUSE, 1)
    with _published(folder) as out, tempfile.TemporaryDirectory() as scratch:
        program = Path(scratch) / "pause"
        command = ["gcc", "-static", "-Os", "-Wall", "-Wextra", "-s", "-o", str(program), str(PAUSE_SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ClusterError(f"gcc could not build the pause program:\n{done.stderr.strip()}")
        pause_image.pack(program.read_bytes(), out / PAUSE_ARCHIVE)
    progress.done(PAUSE, "built")


def require_go() -> None:
    """Refuse a machine without Go, or with one that cannot fetch the newer ones it needs.

    Raises
    ------
    ClusterError
        With the sentence that says what to install.
    """
    wanted = ".".join(map(str, GO_MINIMUM))
    if not shutil.which("go"):
        raise ClusterError(f"Go is missing: install Go {wanted} or newer and put it on PATH.")
    answer = subprocess.run(
        ["go", "version"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"GOTOOLCHAIN": "local"},
    ).stdout
    found = re.search(r"go(\d+)\.(\d+)", answer)
    if not found or (int(found[1]), int(found[2])) < GO_MINIMUM:
        raise ClusterError(f"{answer.strip()} is too old: install Go {wanted} or newer and put it on PATH.")


def link(places: Places) -> None:
    """Make the built programs reachable under the clone's state folder."""
    places.bin.mkdir(parents=True, exist_ok=True)
    places.share.mkdir(parents=True, exist_ok=True)
    links = {
        places.bin / program: installed(target) / program for target in TARGETS for program in target.programs
    }
    links |= {places.share / target.name: installed(target) / "share" for target in TARGETS if target.data}
    for name, to in links.items():
        if name.is_symlink() and name.readlink() == to:
            continue
        draft = name.with_name(f".{name.name}.{os.getpid()}")
        draft.symlink_to(to)
        draft.replace(name)


def build(places: Places) -> None:
    """Build what the cache lacks, all targets at once, and link everything into the clone.

    Raises
    ------
    ClusterError
        If Go is missing, a build fails, or a program is not of the version asked for.
    """
    if not up_to_date():
        require_go()
        with (
            Progress() as progress,
            _only_builder(cache(), progress.say),
            ThreadPoolExecutor(max_workers=max(2, (os.cpu_count() or 2) // 2)) as pool,
        ):
            futures = [pool.submit(_build, target, progress) for target in TARGETS]
            futures.append(pool.submit(_build_pause, progress))
            try:
                for future in futures:
                    future.result()
            except ClusterError:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    link(places)
