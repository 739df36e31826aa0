"""Which images there are and what each is made of."""

import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster.places import HERE, Places
from hack.cluster.places import cache as binaries_cache
from hack.images.content import content_key, digest_of
from hack.images.errors import ImageError

SUITE = "bookworm"
OPERATOR_FILE = "operator/Containerfile"
DEMO_FILE = "hack/images/Containerfile"
TORCH_FILE = "hack/images/torch.Containerfile"
# Counts up when the way of building changes without a change of any input.
RECIPE = "2"


@dataclass(frozen=True)
class Dependencies:
    """Python packages, installed into a folder that becomes one layer."""

    stage: str
    requirements: str


@dataclass(frozen=True)
class Image:
    """One image: a target of a Containerfile and the inputs that decide its content.

    Attributes
    ----------
    name
        Reference without its tag.
    tag
        A fixed tag, or None for the content key: then a Deployment changes exactly when the content does.
    sources
        Files and folders of the repository that the build copies.
    go
        Stage → folder of a Go program, built statically into a file of the stage's name.
    binaries
        Name in the image → path below the clone's state folder, of what the cluster's build made.
    """

    name: str
    containerfile: str
    target: str
    tag: str | None = None
    sources: tuple[str, ...] = ()
    dependencies: Dependencies | None = None
    go: dict[str, str] = field(default_factory=dict)
    binaries: dict[str, str] = field(default_factory=dict)

    @property
    def short_name(self) -> str:
        """The name without its registry part, for file names and arguments."""
        return self.name.rpartition("/")[2]


IMAGES = (
    Image(
        "localhost/mlops-operator",
        OPERATOR_FILE,
        "operator",
        sources=("operator/mlops_operator",),
        dependencies=Dependencies("operator-deps", "requirements/operator.txt"),
    ),
    Image(
        "localhost/mlops-agent",
        OPERATOR_FILE,
        "agent",
        sources=("operator/mlops_operator",),
        dependencies=Dependencies("agent-deps", "requirements/agent.txt"),
        go={"entrypoint": "entrypoint"},
    ),
    Image(
        "localhost/python-ml",
        DEMO_FILE,
        "python-ml",
        tag="1",
        dependencies=Dependencies("python-ml-deps", "hack/images/python-ml.txt"),
    ),
    Image("localhost/versitygw", DEMO_FILE, "versitygw", tag="1", binaries={"versitygw": "bin/versitygw"}),
    Image(
        "localhost/gitea",
        DEMO_FILE,
        "gitea",
        tag="1",
        binaries={"gitea": "bin/gitea", "gitea-static": "share/gitea"},
    ),
)


# Large, and needed by a test that runs only when asked for: built only when named.
ON_DEMAND = (Image("localhost/python-torch", TORCH_FILE, "python-torch", tag="1"),)


@dataclass(frozen=True)
class Keyed:
    """An image with the key of what it is made of now."""

    image: Image
    key: str

    @property
    def reference(self) -> str:
        """The name under which the cluster knows the image."""
        return f"{self.image.name}:{self.image.tag or self.key}"

    @property
    def keyed_reference(self) -> str:
        """A second name that no other content carries: it tells whether the cluster has this very image."""
        return f"{self.image.name}:{self.key}"


def go_digest(folder: Path) -> str:
    """Digest what decides a Go program: its sources without tests, and its module files.

    Raises
    ------
    ImageError
        If the folder holds no Go module.
    """
    if not (folder / "go.mod").exists():
        raise ImageError(f"{folder} holds no Go module.")
    sources = [path.name for path in folder.glob("*.go") if not path.name.endswith("_test.go")]
    modules = [path.name for path in folder.glob("go.*")]
    return digest_of(folder, *sorted({*sources, *modules}))


def inputs_of(image: Image, places: Places = HERE) -> dict[str, str]:
    """Give the named inputs of an image as texts or digests.

    Raises
    ------
    ImageError
        If an input does not exist.
    """
    needed = [image.containerfile, *image.sources]
    if image.dependencies:
        needed.append(image.dependencies.requirements)
    if absent := [name for name in needed if not (places.clone / name).exists()]:
        raise ImageError(
            f"Image {image.short_name} needs {', '.join(absent)}, which this clone does not have."
        )
    inputs = {"recipe": RECIPE, "suite": SUITE, "machine": platform.machine(), "target": image.target}
    inputs |= {name: digest_of(places.clone, name) for name in needed}
    inputs |= {f"go {name}": go_digest(places.clone / folder) for name, folder in image.go.items()}
    for name, origin in image.binaries.items():
        path = places.state / origin
        if not path.exists():
            raise ImageError(
                f"Image {image.short_name} needs {path}: build it with `python -m hack.cluster build`."
            )
        inputs[f"binary {name}"] = digest_of(path.resolve().parent, path.resolve().name)
    return inputs


def keyed(image: Image, places: Places = HERE) -> Keyed:
    """Give an image with the key of its present inputs."""
    return Keyed(image, content_key(inputs_of(image, places)))


def chosen(names: list[str], images: tuple[Image, ...] = IMAGES) -> Iterator[Image]:
    """Give the images of these short names; for no name all but those that are built on demand.

    Raises
    ------
    ImageError
        If there is no image of a name.
    """
    known = {image.short_name: image for image in (*images, *ON_DEMAND)}
    for name in names or [image.short_name for image in images]:
        if name not in known:
            raise ImageError(f"There is no image {name!r}; there are: {', '.join(known)}.")
        yield known[name]


def cache() -> Path:
    """Give the folder of built images that all clones of this user share."""
    return binaries_cache().parent / "images"
