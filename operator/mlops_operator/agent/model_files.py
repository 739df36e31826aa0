"""Which files are the model, which of them is the main one, and what they say of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mlops_operator.agent.globs import matcher
from mlops_operator.agent.onnx_header import NotOnnx, OnnxHeader, read_onnx_header

Format = Literal["onnx", "skops", "pickle", "pytorch", "mlflow", "other"]
SelectedBy = Literal["path", "modelDir", "mlflow", "onnx"]

_FORMATS: dict[str, Format] = {
    ".onnx": "onnx",
    ".skops": "skops",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".joblib": "pickle",
    ".pt": "pytorch",
    ".pth": "pytorch",
    ".pt2": "pytorch",
}
_MAIN_SUFFIXES = (
    ".onnx", ".skops", ".pt2", ".safetensors", ".keras", ".pt", ".pth", ".h5", ".joblib", ".pkl", ".pickle",
)  # fmt: skip
_UNSAFE: frozenset[Format] = frozenset({"pickle", "pytorch"})
_FRAMEWORKS: dict[Format, str] = {"onnx": "onnx", "skops": "scikit-learn", "pytorch": "pytorch"}
_FLAVORS = {  # MLflow's flavor → framework, key of its version
    "sklearn": ("scikit-learn", "sklearn_version"),
    "pytorch": ("pytorch", "pytorch_version"),
    "onnx": ("onnx", "onnx_version"),
    "tensorflow": ("tensorflow", "tf_version"),
    "keras": ("keras", "keras_version"),
    "xgboost": ("xgboost", "xgb_version"),
    "lightgbm": ("lightgbm", "lgb_version"),
    "catboost": ("catboost", "catboost_version"),
    "transformers": ("transformers", "transformers_version"),
    "spacy": ("spacy", "spacy_version"),
    "statsmodels": ("statsmodels", "statsmodels_version"),
}
_FLAVOR_DATA_KEYS = ("pickled_model", "model_path", "data", "model_data", "saved_model_dir")
_NOT_SEARCHED = frozenset({".git", "node_modules", "__pycache__", "site-packages", ".venv", "venv"})
_MAX_CANDIDATES = 20
_MAX_SEEN = 50
_MAX_MLMODEL_BYTES = 1 << 20


@dataclass(frozen=True)
class Selection:
    """What was taken for the model: ``files`` are (path below ``artifacts/model/``, place on the disk)."""

    shown_path: str
    selected_by: SelectedBy
    files: tuple[tuple[str, Path], ...]
    candidates: tuple[str, ...] = ()


@dataclass
class Details:
    """What the model's files say."""

    format: Format
    main_file: str
    framework: str | None = None
    framework_version: str | None = None
    onnx: OnnxHeader | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ModelSearch:
    """Looks for the model where the design says, in this order: ``path``, model folder, MLflow, ``*.onnx``.

    Parameters
    ----------
    path
        A path or glob below the working folder, if the run names one: then only that is looked at.
    logged
        Folder of the model that MLflow's log_model recorded last.
    """

    working: Path
    output: Path
    model_dir: Path
    path: str | None = None
    logged: Path | None = None

    @property
    def _roots(self) -> tuple[Path, ...]:
        return self.working.resolve(), self.output.resolve()

    def find(self) -> Selection | None:
        """Give the model, or None."""
        if self.path is not None:
            return self._newest(self._by_path(self.path), "path")
        if self._has_files(self.model_dir):
            return self._select(self.model_dir, "modelDir", ())
        if self.logged is not None and self._has_files(self.logged):
            return self._select(self.logged, "mlflow", ())
        for folder in (self.output, self.working):
            found = [path for path in walk(folder) if path.suffix.lower() == ".onnx" and self._inside(path)]
            if found:
                return self._newest(found, "onnx")
        return None

    def seen(self) -> str:
        """List what lies in output and working folder, for the message when there is no model."""
        names = []
        for root in (self.output, self.working):
            for path in walk(root):
                names.append(self._shown(path))
                if len(names) >= _MAX_SEEN:
                    return ", ".join([*names, "…"])
        return ", ".join(names) or "nothing"

    def _by_path(self, glob: str) -> list[Path]:
        exact = self.working / glob
        if exact.exists():
            return [exact] if self._inside(exact) else []
        fits = matcher([glob])
        found: list[Path] = []
        for path in walk(self.working):
            relative = path.relative_to(self.working).as_posix()
            if fits(relative) and self._inside(path):
                found.append(self._top(relative, fits))
        return list(dict.fromkeys(found))

    def _top(self, relative: str, fits: object) -> Path:
        """Give the outermost folder of a path that fits by itself: a glob that names folders means them whole."""
        parts = relative.split("/")
        for count in range(1, len(parts)):
            if callable(fits) and fits("/".join(parts[:count])):
                return self.working / "/".join(parts[:count])
        return self.working / relative

    def _newest(self, paths: list[Path], by: SelectedBy) -> Selection | None:
        usable = [path for path in paths if path.is_file() or self._has_files(path)]
        if not usable:
            return None
        ordered = sorted(usable, key=lambda path: (-_changed(path), str(path)))
        candidates = (
            tuple(self._shown(path) for path in ordered[:_MAX_CANDIDATES]) if len(ordered) > 1 else ()
        )
        return self._select(ordered[0], by, candidates)

    def _select(self, path: Path, by: SelectedBy, candidates: tuple[str, ...]) -> Selection:
        if path.is_dir():
            inside = [
                (p.relative_to(path).as_posix(), p) for p in walk(path, everything=True) if self._inside(p)
            ]
            return Selection(self._shown(path), by, tuple(inside), candidates)
        return Selection(self._shown(path), by, ((path.name, path), *self._beside(path)), candidates)

    def _beside(self, path: Path) -> Iterator[tuple[str, Path]]:
        """Give the files that an ONNX model keeps tensors in."""
        if path.suffix.lower() != ".onnx":
            return
        try:
            header = read_onnx_header(path)
        except NotOnnx:
            return
        folder = path.parent.resolve()
        for name in header.external_files:
            other = path.parent / name
            if other.is_file() and other.resolve().is_relative_to(folder):
                yield os.path.normpath(name), other

    def _inside(self, path: Path) -> bool:
        """Say whether a path, links followed, lies in the working or output folder."""
        resolved = path.resolve()
        return any(resolved.is_relative_to(root) for root in self._roots)

    def _has_files(self, folder: Path) -> bool:
        return folder.is_dir() and any(self._inside(path) for path in walk(folder, everything=True))

    def _shown(self, path: Path) -> str:
        for root in (self.output, self.working):
            if path == root or path.is_relative_to(root):
                relative = path.relative_to(root).as_posix()
                return relative if root == self.working else f"{root.name}/{relative}"
        return path.name


def walk(folder: Path, *, everything: bool = False) -> Iterator[Path]:
    """Give the regular files below a folder, and links to such, in order; no link to a folder is followed."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if everything or name not in _NOT_SEARCHED)
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file():
                yield path


def _changed(path: Path) -> float:
    if path.is_dir():
        return max((p.stat().st_mtime for p in walk(path, everything=True)), default=0.0)
    return path.stat().st_mtime


# --- what it is -----------------------------------------------------------------------------------------------


def describe(selection: Selection) -> Details:
    """Read what the files say: which is the main one, its format, framework, and an ONNX header."""
    places = dict(selection.files)
    flavors = read_flavors(places["MLmodel"]) if "MLmodel" in places else {}
    main = _main_file(places, flavors)
    details = Details(format="mlflow" if main == "MLmodel" else format_of(main), main_file=main)
    details.framework = _FRAMEWORKS.get(details.format)
    for flavor, (framework, version_key) in _FLAVORS.items():
        if flavor in flavors:
            details.framework = framework
            details.framework_version = flavors[flavor].get(version_key)
            break
    if details.format in _UNSAFE:
        details.warnings.append(
            f"{main} is a {details.format} file: to load it executes code that it holds; prefer ONNX or skops"
        )
    if details.format == "onnx":
        _read_onnx(places, details)
    return details


def _read_onnx(places: dict[str, Path], details: Details) -> None:
    main = places[details.main_file]
    try:
        details.onnx = read_onnx_header(main)
    except NotOnnx as error:
        details.format = "other"
        details.framework = None
        details.warnings.append(f"{details.main_file} is named like an ONNX model, but {error}")
        return
    folder = os.path.dirname(details.main_file)  # noqa: PTH120 - a key, not a place
    for name in details.onnx.external_files:
        if os.path.normpath(os.path.join(folder, name)) not in places:  # noqa: PTH118
            details.warnings.append(
                f"{details.main_file} keeps tensors in {name!r}, which is missing or outside of its folder: the model"
                " cannot be loaded"
            )


def format_of(name: str) -> Format:
    """Give the format that a file's name says."""
    return _FORMATS.get(Path(name).suffix.lower(), "other")


def _main_file(places: dict[str, Path], flavors: dict[str, dict[str, str]]) -> str:
    for settings in (flavors[name] for name in [*_FLAVORS, *flavors] if name in flavors):
        named = (settings.get(key, "").rstrip("/") for key in _FLAVOR_DATA_KEYS)
        for value in filter(None, named):
            below = [name for name in places if name == value or name.startswith(f"{value}/")]
            if below:
                return _largest(places, _preferred(below))
    if "MLmodel" in places and not _preferred(places, strict=True):
        return "MLmodel"
    return _largest(places, _preferred(places))


def _preferred(names: Iterable[str], *, strict: bool = False) -> list[str]:
    known = list(names)
    for suffix in _MAIN_SUFFIXES:
        fitting = [name for name in known if name.lower().endswith(suffix)]
        if fitting:
            return fitting
    return [] if strict else known


def _largest(places: dict[str, Path], names: list[str]) -> str:
    return max(sorted(names), key=lambda name: places[name].stat().st_size)


def read_flavors(mlmodel: Path) -> dict[str, dict[str, str]]:
    """Read the flavors of an MLmodel file, which MLflow writes as block YAML: two levels of it are enough."""
    with mlmodel.open("rb") as file:
        text = file.read(_MAX_MLMODEL_BYTES).decode("utf-8", "replace")
    flavors: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None
    inside = False
    for line in text.splitlines():
        if not line.startswith(" "):
            inside = line.rstrip() == "flavors:"
        elif inside and (match := re.match(r"^  ([A-Za-z_]\w*):\s*$", line)):
            current = flavors.setdefault(match[1], {})
        elif inside and current is not None and (match := re.match(r"^    ([A-Za-z_]\w*): (.+)$", line)):
            current[match[1]] = match[2].strip().strip("'\"")
    return flavors
