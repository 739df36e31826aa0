"""Whatever the CRD accepts, the model reads, writes and reads again without a loss."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.manifests import API_VERSION
from tests.unit.api.crd_schema import MODELS, SCHEMAS, paths_refused

Values = st.SearchStrategy[Any]

_NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12)
_WORDS = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=8)
_TIMES = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(2999, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda time: time.replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ"))


def values(schema: dict[str, Any]) -> Values:
    """Values that the schema accepts; few and small ones."""
    if "x-kubernetes-preserve-unknown-fields" in schema:
        return st.one_of(st.booleans(), st.integers(-(10**9), 10**9), _NUMBERS, _WORDS)
    if "x-kubernetes-int-or-string" in schema:
        return st.one_of(st.integers(schema["minimum"], 10**9), _strings(schema))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return _OF_TYPE[schema["type"]](schema)


def _floats(schema: dict[str, Any]) -> Values:
    return st.floats(
        schema.get("minimum", -1e12), schema.get("maximum", 1e12), allow_nan=False, allow_infinity=False
    )


def _lists(schema: dict[str, Any]) -> Values:
    least = schema.get("minItems", 0)
    return st.lists(values(schema["items"]), min_size=least, max_size=min(schema["maxItems"], least + 2))


def _strings(schema: dict[str, Any]) -> Values:
    if schema.get("format") == "date-time":
        return _TIMES
    longest = schema.get("maxLength", 100)
    if "pattern" in schema:
        pattern = schema["pattern"].removeprefix("^").removesuffix("$")
        texts = st.from_regex(rf"(?a:{pattern})", fullmatch=True)
        return texts.filter(
            lambda text: schema.get("minLength", 0) <= len(text) <= longest and text.isprintable()
        )
    return (
        st.text(max_size=4)
        if "minLength" not in schema
        else st.text(min_size=schema["minLength"], max_size=4)
    )


def _objects(schema: dict[str, Any]) -> Values:
    if "additionalProperties" in schema:
        least = schema.get("minProperties", 0)
        return st.dictionaries(
            _WORDS, values(schema["additionalProperties"]), min_size=least, max_size=least + 2
        )
    members = {name: values(member) for name, member in schema.get("properties", {}).items()}
    required = set(schema.get("required", ()))
    choices = _one_of(schema)
    if choices:
        return st.sampled_from(choices).flatmap(
            lambda chosen: _fixed(members, required | {chosen}, set(choices) - {chosen})
        )
    return _fixed(members, required, set())


_OF_TYPE: dict[str, Callable[[dict[str, Any]], Values]] = {
    "string": _strings,
    "integer": lambda s: st.integers(s.get("minimum", -(2**31)), s.get("maximum", 2**31)),
    "number": _floats,
    "boolean": lambda _: st.booleans(),
    "array": _lists,
    "object": _objects,
}


def _one_of(schema: dict[str, Any]) -> list[str]:
    """Members of which exactly one is given, by the rule's message."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if rule["rule"].endswith(".size() == 1") and rule["rule"].startswith("[has("):
            return [
                name.removeprefix("exactly one of ") for name in rule["message"][len("give ") :].split(", ")
            ]
    return []


def _fixed(members: dict[str, Values], required: set[str], without: set[str]) -> Values:
    return st.fixed_dictionaries(
        {name: members[name] for name in members if name in required},
        optional={name: members[name] for name in members if name not in required | without},
    )


RESOURCES = {
    kind: st.fixed_dictionaries(
        {
            "apiVersion": st.just(API_VERSION),
            "kind": st.just(kind),
            "metadata": st.just({"name": "sample", "namespace": "ws-alice", "uid": "1", "generation": 1}),
            "spec": values(schema["properties"]["spec"]),
        },
        optional={"status": values(schema["properties"]["status"])},
    )
    for kind, schema in SCHEMAS.items()
}


@pytest.mark.parametrize("kind", RESOURCES)
@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking a whole resource takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
@given(data=st.data())
def test_nothing_is_lost(kind: str, data: st.DataObject) -> None:
    obj = data.draw(RESOURCES[kind])
    assert paths_refused(obj) == []
    first = MODELS[kind].model_validate(obj)
    written = first.to_object()
    assert paths_refused(written) == []
    assert MODELS[kind].model_validate(written) == first
    for name in obj["spec"]:
        assert name in written["spec"]  # type: ignore[operator]
