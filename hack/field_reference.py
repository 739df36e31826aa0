"""Writes docs/reference/fields.md from the CRDs: ``python -m hack.field_reference``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_operator.api.crd import KINDS, Kind, definition

TARGET = Path(__file__).resolve().parents[1] / "docs" / "reference" / "fields.md"

INTRODUCTION = """# Fields

Every field of the three kinds, as `kubectl explain` shows them too, such as in `kubectl explain trun.spec.metrics`.
The resources belong to `mlops.eoepca.org/v1alpha1` and live in a namespace. A field in **bold** must be given.

This page is generated from the models in `operator/mlops_operator/api` by `make crds`.
"""

Schema = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """A row of a table; ``path`` begins below spec or status."""

    path: str
    type: str
    required: bool
    default: str
    description: str
    rules: tuple[str, ...]

    def to_row(self) -> str:
        name = f"**`{self.path}`**" if self.required else f"`{self.path}`"
        text = "<br>".join([_sentence(self.description), *map(_sentence, self.rules)])
        return f"| {name} | {self.type} | {self.default} | {_cell(text)} |"


def fields(schema: Schema, path: str = "") -> Iterator[Field]:
    """Give the members of an object, each followed by its own members."""
    required = schema.get("required", ())
    for name, member in schema.get("properties", {}).items():
        child = f"{path}.{name}" if path else name
        yield Field(
            child,
            _type(member),
            name in required,
            f"`{_literal(member['default'])}`" if "default" in member else "",
            member.get("description", ""),
            tuple(_rules_of(schema, name)) + tuple(_rules(member)),
        )
        if "items" in member:
            yield from fields(member["items"], f"{child}[]")
        elif "additionalProperties" in member:
            yield from fields(member["additionalProperties"], f"{child}.*")
        else:
            yield from fields(member, child)


def _rules(member: Schema) -> Iterator[str]:
    """Give what a whole object, or each entry of a list, must hold."""
    for part in (member, member.get("items", {})):
        for rule in part.get("x-kubernetes-validations", ()):
            if "fieldPath" not in rule:
                yield rule["message"]


def _rules_of(parent: Schema, name: str) -> Iterator[str]:
    """Give what rules of the object around say of this member."""
    for rule in parent.get("x-kubernetes-validations", ()):
        if rule.get("fieldPath") == f".{name}":
            yield rule["message"]


def _type(schema: Schema) -> str:
    if "x-kubernetes-int-or-string" in schema:
        return "quantity"
    if "x-kubernetes-preserve-unknown-fields" in schema:
        return "number, boolean or string"
    if schema["type"] == "array":
        return f"list of {_type(schema['items']).partition(', at most')[0]}"
    if "additionalProperties" in schema:
        return f"map of {_type(schema['additionalProperties'])}"
    return _scalar_type(schema)


def _scalar_type(schema: Schema) -> str:
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("format") == "date-time":
        return "time"
    return str(schema["type"]) + _bounds(schema)


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", at least {low}"
    if "maxLength" in schema:
        return f", at most {schema['maxLength']} characters"
    return ""


def _literal(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sentence(text: str) -> str:
    if not text.startswith("metadata."):
        text = text[:1].upper() + text[1:]
    return text if re.search(r"[.…:]$", text) or not text else f"{text}."


def _cell(text: str) -> str:
    """Nothing in a description may end the cell or be taken for HTML."""
    text = re.sub(r"<(?!br>)", "&lt;", text)
    return text.replace("|", "\\|").replace("*", "\\*").replace("\n", " ")


def section(kind: Kind) -> str:
    """Give the part of the page that describes a kind."""
    crd = definition(kind)["spec"]
    schema = crd["versions"][0]["schema"]["openAPIV3Schema"]
    parts = [
        f"## {kind.name}\n\n{_sentence(schema['description'])} Short name: `{kind.short_name}`.\n",
        *(f"- {_sentence(rule['message'])}" for rule in schema.get("x-kubernetes-validations", ())),
    ]
    for name in ("spec", "status"):
        member = schema["properties"][name]
        table = ["| Field | Type | Default | Description |", "|---|---|---|---|"]
        table += [field.to_row() for field in fields(member)]
        parts.append(f"\n### {kind.name} {name}\n\n{_sentence(member['description'])}\n\n" + "\n".join(table))
    return "\n".join(parts) + "\n"


def page() -> str:
    """Give the whole page."""
    return "\n".join([INTRODUCTION, *(section(kind) for kind in KINDS)])


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(page(), encoding="utf-8")
