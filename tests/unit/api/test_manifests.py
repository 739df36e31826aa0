"""Model and CRD give the same verdict on every manifest, except where a CEL rule or the API server alone decides."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.manifests import CHANGED, FULL, MINIMAL, REFUSED, Changed, Object, Refused, manifest
from tests.unit.api.crd_schema import MODELS, SCHEMAS, paths_refused

GOOD = [manifest(kind, specs[kind]) for kind in MODELS for specs in (MINIMAL, FULL)]


def _model_refuses(obj: Object) -> bool:
    try:
        MODELS[obj["kind"]].model_validate(obj)
    except ValidationError:
        return True
    return False


@pytest.mark.parametrize("obj", GOOD, ids=lambda obj: obj["kind"])
def test_good_ones_are_accepted_by_both(obj: Object) -> None:
    assert paths_refused(obj) == []
    assert not _model_refuses(obj)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_bad_ones_are_refused(case: Refused) -> None:
    obj = manifest(case.kind, case.spec, case.name)
    refused = paths_refused(obj)
    assert bool(refused) == (case.by == "schema")
    assert _model_refuses(obj) == (case.by in {"schema", "one-of"})
    if refused:
        assert any(path.startswith(case.says) for path in refused)


def test_full_manifests_say_everything() -> None:
    """A field that no full manifest holds would escape the tests here."""
    for kind, spec in FULL.items():
        missing = set(SCHEMAS[kind]["properties"]["spec"]["properties"]) - set(spec)
        assert not missing, kind


@pytest.mark.parametrize("change", CHANGED, ids=lambda change: change.id)
def test_changes_lead_to_good_manifests(change: Changed) -> None:
    """What is refused in a change is the change."""
    for spec in (change.before, change.after):
        obj = manifest(change.kind, spec)
        assert paths_refused(obj) == []
        assert not _model_refuses(obj)
