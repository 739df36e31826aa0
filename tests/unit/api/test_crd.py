"""The generated CRDs: up to date, documented, bounded; and the generator refuses what it does not know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from hack import field_reference
from mlops_operator.api import crd
from mlops_operator.api.base import Model
from mlops_operator.api.trainingrun import FIXED_FIELDS
from tests.unit.api.crd_schema import SCHEMAS

ROOT = Path(__file__).resolve().parents[3]
CHANGEABLE = {"cancel", "suspend", "displayName", "archived", "ttlSecondsAfterFinished"}


def members(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every member below with its path; entries of lists and maps too, as ``[]`` and ``.*`` of it."""
    for name, member in schema.get("properties", {}).items():
        yield f"{path}.{name}", member
        yield from members(member, f"{path}.{name}")
    for key, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if key in schema:
            yield path + suffix, schema[key]
            yield from members(schema[key], path + suffix)


MEMBERS = [pair for kind, schema in SCHEMAS.items() for pair in members(schema, kind)]


def test_crds_are_up_to_date() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "crds").iterdir()}
    assert committed == crd.files(), "run `make crds` and commit the result"


def test_field_reference_is_up_to_date() -> None:
    assert field_reference.TARGET.read_text(encoding="utf-8") == field_reference.page(), "run `make crds`"


def test_every_field_has_a_description() -> None:
    bare = [
        p
        for p, member in MEMBERS
        if not p.endswith(("[]", ".*", ".metadata")) and not member.get("description")
    ]
    assert bare == []


def test_lists_and_maps_are_bounded() -> None:
    """Without a bound, the cost of a CEL rule is that of the largest request."""
    unbounded = [
        path
        for path, member in MEMBERS
        if ("items" in member and "maxItems" not in member)
        or ("additionalProperties" in member and "maxProperties" not in member)
    ]
    assert unbounded == []


def test_strings_of_the_spec_are_bounded() -> None:
    unbounded = [
        path
        for path, member in MEMBERS
        if ".spec." in path
        and member.get("type") == "string"
        and not {"maxLength", "enum", "format"} & set(member)
    ]
    assert unbounded == []


def test_a_status_is_never_filled_in_by_the_server() -> None:
    assert [path for path, member in MEMBERS if ".status" in path and "default" in member] == []


def test_rules_cover_every_field_of_a_run() -> None:
    assert {*FIXED_FIELDS, "parameters", *CHANGEABLE} == set(
        SCHEMAS["TrainingRun"]["properties"]["spec"]["properties"]
    )


def test_rules_name_members_that_exist() -> None:
    wrong = [
        (path, rule["fieldPath"])
        for path, member in MEMBERS
        for rule in member.get("x-kubernetes-validations", ())
        if "fieldPath" in rule and rule["fieldPath"].lstrip(".") not in member["properties"]
    ]
    assert wrong == []


def test_selectable_fields_and_columns_exist() -> None:
    for kind in crd.KINDS:
        known = {path.removeprefix(kind.name) for path, _ in members(SCHEMAS[kind.name], kind.name)}
        paths = {column.path for column in kind.columns} - {crd.AGE.path} | set(kind.selectable)
        assert paths <= known


def test_a_parameter_keeps_the_type_that_was_written() -> None:
    parameters = SCHEMAS["TrainingRun"]["properties"]["spec"]["properties"]["parameters"]
    assert parameters["maxProperties"] == 128
    assert parameters["additionalProperties"] == {
        "x-kubernetes-preserve-unknown-fields": True,
        "minProperties": 1,
        "maxProperties": 0,
        "minItems": 1,
        "maxItems": 0,
        "maxLength": 1024,
    }


class _Status(Model):
    """What was seen."""


class _Resource(Model):
    """Of a test."""

    status: _Status = _Status()


def test_an_unknown_keyword_is_an_error() -> None:
    class Spec(Model):
        """It has a number that Kubernetes could check only by another keyword."""

        even: int = Field(multiple_of=2, description="An even number.")

    class Resource(_Resource):
        """Of a test."""

        spec: Spec

    with pytest.raises(crd.SchemaError, match=r"Resource.spec.even: the generator does not know multipleOf"):
        crd.root_schema(Resource)


def test_a_union_is_an_error() -> None:
    class Spec(Model):
        """It has a member that a structural schema cannot say."""

        either: Annotated[list[str] | int, Field(description="One or more.")]

    class Resource(_Resource):
        """Of a test."""

        spec: Spec

    with pytest.raises(crd.SchemaError, match=r"Resource.spec.either: a CRD cannot say anyOf"):
        crd.root_schema(Resource)
