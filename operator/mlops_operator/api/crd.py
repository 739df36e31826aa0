"""The generator of the CRDs: ``python -m mlops_operator.api.crd DIRECTORY`` writes ``crds/*.yaml``.

Pydantic's JSON schema is translated into the structural schema that Kubernetes asks for: references are put in place,
optional members lose their null, keywords that Kubernetes does not know are translated, and one that this module does
not know is an error, so that no rule of a model gets lost unseen.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlops_operator.api.base import GROUP, VERSION, Model
from mlops_operator.api.modelversion import ModelVersion
from mlops_operator.api.trainingdataset import TrainingDataset
from mlops_operator.api.trainingrun import TrainingRun

Schema = dict[str, Any]

HEADER = "# Generated from operator/mlops_operator/api by `make crds`; do not edit.\n"

# Copied as they are. What is not here is translated below, or unknown.
_KEPT = frozenset(
    {
        "description",
        "enum",
        "format",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "pattern",
        "required",
        "type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-validations",
    }
)
_TRANSLATED = frozenset({"$ref", "additionalProperties", "anyOf", "const", "default", "items", "properties"})
# title: noise of pydantic's; propertyNames: Kubernetes cannot say it, so a pattern of keys is a CEL rule of the model;
# readOnly: a computed field.
_DROPPED = frozenset({"title", "propertyNames", "readOnly"})

# A number, a boolean or a string, told apart as they were written: anyOf with types is forbidden in a structural
# schema, but bounds apply to their own type alone, and bounds that cannot be met refuse objects and lists.
_SCALAR: Schema = {
    "x-kubernetes-preserve-unknown-fields": True,
    "minProperties": 1,
    "maxProperties": 0,
    "minItems": 1,
    "maxItems": 0,
}

_ROOT: dict[str, Schema] = {
    "apiVersion": {"type": "string", "description": f"Version of the schema: {GROUP}/{VERSION}."},
    "kind": {"type": "string", "description": "Kind of the resource."},
    "metadata": {"type": "object"},  # the API server allows nothing more, and describes it itself
}


class SchemaError(Exception):
    """A model uses something that a CRD cannot say, or that this generator does not know."""


@dataclass(frozen=True)
class Column:
    """A column of ``kubectl get``; wide ones are shown with ``-o wide``."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    wide: bool = False

    def to_schema(self) -> dict[str, object]:
        """As an entry of ``additionalPrinterColumns``."""
        schema: dict[str, object] = {"name": self.name, "type": self.type, "jsonPath": self.path}
        if self.description:
            schema["description"] = self.description
        if self.wide:
            schema["priority"] = 1
        return schema


AGE = Column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True)
class Kind:
    """What a CRD says beside its schema."""

    model: type[Model]
    plural: str
    short_name: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.model.__name__


KINDS = (
    Kind(
        TrainingDataset,
        "trainingdatasets",
        "tds",
        (
            Column("Version", ".status.current", description="Version that a run gets which names none."),
            Column("Phase", ".status.phase"),
            Column("Files", ".status.files", "integer", "Files of the current version."),
            Column("Size", ".status.sizeBytes", "integer", "Size of the current version, in bytes."),
            AGE,
            Column("Digest", ".status.digest", wide=True, description="Digest of the current version."),
            Column("Message", ".status.message", wide=True),
        ),
        (".status.phase",),
    ),
    Kind(
        TrainingRun,
        "trainingruns",
        "trun",
        (
            Column("Phase", ".status.phase"),
            Column("Reason", ".status.reason"),
            Column("Experiment", ".spec.experiment"),
            Column("Model", ".status.model.name", description="ModelVersion that the run made."),
            Column("Step", ".status.progress.step", "integer", "Highest step logged."),
            AGE,
            Column("Display Name", ".spec.displayName", wide=True),
            Column("Image", ".spec.image", wide=True),
            Column("Message", ".status.message", wide=True),
        ),
        (".spec.experiment", ".status.phase"),
    ),
    Kind(
        ModelVersion,
        "modelversions",
        "mv",
        (
            Column("Model", ".spec.model"),
            Column("Version", ".status.version"),
            Column("Phase", ".status.phase"),
            Column("Run", ".spec.source.trainingRun.name", description="TrainingRun that made the files."),
            AGE,
            Column("Digest", ".status.digest", wide=True),
            Column("Message", ".status.message", wide=True),
        ),
        (".spec.model",),
    ),
)


def definition(kind: Kind) -> dict[str, Any]:
    """Give the CustomResourceDefinition of a kind.

    Raises
    ------
    SchemaError
        Its model says something that a CRD cannot.
    """
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short_name],
                "categories": ["mlops"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "selectableFields": [{"jsonPath": path} for path in kind.selectable],
                    "additionalPrinterColumns": [column.to_schema() for column in kind.columns],
                    "schema": {"openAPIV3Schema": root_schema(kind.model)},
                }
            ],
        },
    }


def root_schema(model: type[Model]) -> Schema:
    """Give the structural schema of a whole resource."""
    raw = model.model_json_schema(by_alias=True, mode="serialization")
    translated = _Translator(raw.pop("$defs", {})).translate(raw, model.__name__)
    properties = translated["properties"]
    _drop_defaults(properties["status"])
    schema: Schema = {
        "type": "object",
        "description": translated["description"],
        "required": ["spec"],
        "properties": {**_ROOT, "spec": properties["spec"], "status": properties["status"]},
    }
    if "x-kubernetes-validations" in translated:
        schema["x-kubernetes-validations"] = translated["x-kubernetes-validations"]
    return schema


class _Translator:
    """From pydantic's JSON schema to a structural one."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def translate(self, schema: Schema, path: str) -> Schema:
        schema = self._resolved(schema)
        unknown = schema.keys() - _KEPT - _TRANSLATED - _DROPPED
        if unknown:
            raise SchemaError(f"{path}: the generator does not know {', '.join(sorted(unknown))}")
        result = {key: schema[key] for key in schema if key in _KEPT}
        if "anyOf" in schema:
            result |= self._any_of(schema["anyOf"], path) | {
                key: result[key] for key in ("description",) if key in result
            }
        if "const" in schema:
            result["enum"] = [schema["const"]]
        if isinstance(schema.get("default"), bool | int | float | str):
            result["default"] = schema["default"]
        if "items" in schema:
            result["items"] = self.translate(schema["items"], f"{path}[]")
        if "additionalProperties" in schema:
            result["additionalProperties"] = self.translate(schema["additionalProperties"], f"{path}.*")
        if "properties" in schema:
            computed = {name for name, member in schema["properties"].items() if member.get("readOnly")}
            result["required"] = [name for name in schema.get("required", ()) if name not in computed]
            if not result["required"]:
                del result["required"]
            result["properties"] = {
                name: self.translate(member, f"{path}.{name}")
                for name, member in schema["properties"].items()
            }
        return result

    def _resolved(self, schema: Schema) -> Schema:
        """Put what ``$ref`` names in its place; what stands beside it (description, default) wins."""
        if "$ref" not in schema:
            return schema
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return self._definitions[schema["$ref"].removeprefix("#/$defs/")] | rest

    def _any_of(self, members: Iterable[Schema], path: str) -> Schema:
        """X or null; a quantity (string or integer); a scalar. Nothing else."""
        given = [self._resolved(member) for member in members if member != {"type": "null"}]
        types = [member.get("type") for member in given]
        if len(given) == 1:
            return self.translate(given[0], path)
        strings = next((self.translate(m, path) for m in given if m.get("type") == "string"), {})
        strings.pop("type", None)
        if sorted(map(str, types)) == ["boolean", "integer", "number", "string"]:
            return _SCALAR | strings
        if sorted(map(str, types)) == ["integer", "string"]:
            integers = self.translate(next(m for m in given if m["type"] == "integer"), path)
            integers.pop("type")
            return {"x-kubernetes-int-or-string": True} | strings | integers
        raise SchemaError(f"{path}: a CRD cannot say anyOf {types}")


def _drop_defaults(schema: Schema) -> None:
    """Take the defaults out of a status: it holds what was observed, the API server must not fill it in."""
    schema.pop("default", None)
    for member in (
        *schema.get("properties", {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
    ):
        if member is not None:
            _drop_defaults(member)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - anchors are hard to read
        return True


def to_yaml(content: Mapping[str, Any]) -> str:
    """As a file's text, with the note that it is generated."""
    return HEADER + yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def files() -> dict[str, str]:
    """Give every generated file: its name and its text."""
    names = [f"{kind.plural}.yaml" for kind in KINDS]
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": names,
    }
    return {name: to_yaml(definition(kind)) for name, kind in zip(names, KINDS, strict=True)} | {
        "kustomization.yaml": to_yaml(kustomization)
    }


def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
