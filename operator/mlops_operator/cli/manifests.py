"""TrainingRuns that a command makes: of a script, or of a run that was there before."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from mlops_operator.api.base import API_VERSION
from mlops_operator.cli.errors import CliError

Object = dict[str, Any]
_LONGEST_NAME: Final = 52
_INLINE_BYTES: Final = 32 * 1024
# What says how a run is shown, kept or stopped, and not what is trained.
_NOT_REPEATED: Final = ("cancel", "suspend", "archived", "displayName", "rerunOf")


@dataclass(frozen=True)
class Submission:
    """What ``submit`` was asked for."""

    script: Path
    image: str
    name: str | None = None
    files: Sequence[Path] = ()
    parameters: Sequence[str] = ()
    datasets: Sequence[str] = ()
    experiment: str | None = None
    model: str | None = None
    env: Sequence[str] = ()
    cpu: str | None = None
    memory: str | None = None
    accelerator: str | None = None
    deadline_seconds: int | None = None
    args: Sequence[str] = field(default_factory=tuple)

    def manifest(self) -> Object:
        """Give the TrainingRun.

        Raises
        ------
        CliError
            A file cannot be read or is too large, or an option is not what it should be.
        """
        spec: Object = {
            "experiment": self.experiment,
            "source": {"inline": {"files": _inline([self.script, *self.files])}},
            "image": self.image,
            "command": ["python", self.script.name],
            "args": list(self.args),
            "env": [{"name": name, "value": value} for name, value in _pairs(self.env, "--env")],
            "parameters": settings(self.parameters, "--param"),
            "datasets": [_dataset(text) for text in self.datasets],
            "resources": self._resources(),
            "accelerator": _accelerator(self.accelerator) if self.accelerator else None,
            "deadlineSeconds": self.deadline_seconds,
            "outputs": {"model": {"name": self.model}} if self.model else None,
        }
        stem = re.sub(r"[^a-z0-9]+", "-", self.script.stem.lower()).strip("-")[: _LONGEST_NAME - 6] or "run"
        metadata = {"name": self.name} if self.name else {"generateName": f"{stem}-"}
        return _run(metadata, {key: value for key, value in spec.items() if value})

    def _resources(self) -> Object:
        asked = {name: text for name, text in (("cpu", self.cpu), ("memory", self.memory)) if text}
        return {"requests": asked, "limits": asked} if asked else {}


@dataclass(frozen=True)
class Rerun:
    """What ``rerun`` was asked for.

    Attributes
    ----------
    changes
        ``name=value``: parameters that the run has.
    additions
        ``name=value``: parameters that it has not.
    latest
        Take the newest data and code, not those of the run.
    exact_image
        Name the image by the digest that the run had.
    """

    changes: Sequence[str] = ()
    additions: Sequence[str] = ()
    latest: bool = False
    exact_image: bool = False

    def spec(self, run: Mapping[str, Any]) -> Object:
        """Give the spec of the new run.

        Raises
        ------
        CliError
            A parameter is not there, or the digest of the image is not known.
        """
        spec = {key: copy.deepcopy(value) for key, value in run["spec"].items() if key not in _NOT_REPEATED}
        spec["rerunOf"] = {"name": run["metadata"]["name"], "uid": run["metadata"]["uid"]}
        parameters = dict(spec.get("parameters") or {})
        changes = settings(self.changes, "--set")
        for name in changes:
            if name not in parameters:
                raise CliError(_unknown(name, parameters))
        parameters |= changes | settings(self.additions, "--add")
        if parameters:
            spec["parameters"] = parameters
        # A number is used once: the new run's model gets the next.
        ((spec.get("outputs") or {}).get("model") or {}).pop("version", None)
        resolved = (run.get("status") or {}).get("resolved") or {}
        if not self.latest:
            _pin(spec, resolved)
        if self.exact_image:
            if "@sha256:" not in (resolved.get("image") or ""):
                raise CliError("which image the run had is not known by its digest: leave --exact-image out")
            spec["image"] = resolved["image"]
        return spec


def rerun_names(name: str) -> Iterator[str]:
    """Give names for a run that repeats another: after wine comes wine-r2, then wine-r3, and so on."""
    found = re.fullmatch(r"(.+)-r(\d+)", name)
    base, number = (found[1], int(found[2])) if found else (name, 1)
    while True:
        number += 1
        suffix = f"-r{number}"
        yield base[: _LONGEST_NAME - len(suffix)].rstrip("-") + suffix


def named(name: str, spec: Object) -> Object:
    """Give a TrainingRun of this spec."""
    return _run({"name": name}, spec)


def settings(texts: Sequence[str], option: str) -> dict[str, bool | int | float | str]:
    """Read ``name=value``; values as YAML has them: numbers, true and false, else text."""
    found: dict[str, bool | int | float | str] = {}
    for name, text in _pairs(texts, option):
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        # 1e-3 is a number to everybody but YAML 1.1.
        if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
            value = float(value)
        found[name] = value if isinstance(value, bool | int | float | str) else text
    return found


def _pin(spec: Object, resolved: Mapping[str, Any]) -> None:
    versions = {dataset["name"]: dataset["version"] for dataset in resolved.get("datasets") or []}
    for dataset in spec.get("datasets") or []:
        if dataset["name"] in versions:
            dataset["version"] = versions[dataset["name"]]
    git = (spec.get("source") or {}).get("git")
    if git and resolved.get("commit"):
        git["ref"] = resolved["commit"]


def _unknown(name: str, parameters: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, parameters, n=1)
    there = f"it has {', '.join(sorted(parameters))}" if parameters else "it has none"
    return f"the run has no parameter {name}: {f'did you mean {near[0]}?' if near else there}; --add {name}=… gives it a new one"


def _inline(paths: Sequence[Path]) -> dict[str, str]:
    files: dict[str, str] = {}
    for path in paths:
        try:
            files[path.name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CliError(f"{path} cannot be read as text: {error}") from error
    size = sum(len(text.encode()) for text in files.values())
    if size > _INLINE_BYTES:
        raise CliError(
            f"the files have {size} bytes; at most {_INLINE_BYTES} go into a manifest. Put the code into a Git"
            " repository and name it in spec.source.git"
        )
    return files


def _pairs(texts: Sequence[str], option: str) -> Iterator[tuple[str, str]]:
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CliError(f"{option} must look like name=value, not {text!r}")
        yield name, value


def _dataset(text: str) -> Object:
    name, _, version = text.partition(":")
    return {"name": name, **({"version": version} if version else {})}


def _accelerator(text: str) -> Object:
    name, _, count = text.partition(":")
    if count and not count.isdecimal():
        raise CliError(f"--accelerator must look like gpu-large or gpu-large:2, not {text!r}")
    return {"class": name, **({"count": int(count)} if count else {})}


def _run(metadata: Object, spec: Object) -> Object:
    return {"apiVersion": API_VERSION, "kind": "TrainingRun", "metadata": metadata, "spec": spec}
