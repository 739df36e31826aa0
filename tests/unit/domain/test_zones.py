"""Which zone a namespace is in, and what could never start there."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_operator.api.trainingrun import TrainingRunSpec
from mlops_operator.domain import zones
from mlops_operator.domain.acceptance import refusal
from mlops_operator.domain.observed import NamespaceView
from mlops_operator.settings import Settings

SETTINGS = Settings.model_validate(
    {
        "acceleratorClasses": {"small": {"resource": "x/small"}, "large": {"resource": "x/large"}},
        "profiles": {"cpu": {}, "gpu": {"accelerator": {"class": "large"}}},
        "zones": {
            "development": {
                "profiles": ["cpu"],
                "acceleratorClasses": ["small"],
                "maxResources": {"cpu": 2, "memory": "4Gi", "x/small": 1},
            },
            "deployment": {},
        },
    }
)
DEVELOPMENT = NamespaceView("development")
BASE: dict[str, Any] = {"image": "x", "command": ["y"]}


def spec(**more: Any) -> TrainingRunSpec:
    return TrainingRunSpec.model_validate({**BASE, **more})


def test_the_label_chooses_and_the_default_stands_in() -> None:
    assert zones.find(SETTINGS, DEVELOPMENT) is SETTINGS.zones["development"]
    assert zones.find(SETTINGS, NamespaceView()) is None
    by_default = SETTINGS.model_copy(update={"default_zone": "deployment"})
    assert zones.find(by_default, NamespaceView()) is SETTINGS.zones["deployment"]
    assert zones.find(by_default, DEVELOPMENT) is SETTINGS.zones["development"]


def test_a_namespace_that_was_not_seen_is_waited_for_only_where_there_are_zones() -> None:
    assert zones.is_unseen(SETTINGS, None)
    assert not zones.is_unseen(SETTINGS, NamespaceView())
    assert not zones.is_unseen(Settings(), None)


def test_a_label_that_names_no_zone_is_told() -> None:
    waiting = zones.unknown(SETTINGS, NamespaceView("devel"), "ws-a")
    assert waiting is not None
    assert waiting.reason == "ZoneUnknown"
    assert "mlops.eoepca.org/zone=devel" in waiting.message
    assert "deployment, development" in waiting.message
    assert zones.unknown(SETTINGS, DEVELOPMENT, "ws-a") is None
    assert zones.unknown(SETTINGS, NamespaceView(), "ws-a") is None
    assert zones.unknown(Settings(), NamespaceView("devel"), "ws-a") is None


@pytest.mark.parametrize(
    ("more", "reason", "told", "not_told"),
    [
        ({"profile": "gpu"}, "UnknownProfile", "there are: cpu.", "gpu."),
        ({"profile": "none"}, "UnknownProfile", "'none'; there are: cpu.", "gpu"),
        ({"accelerator": {"class": "large"}}, "UnknownAcceleratorClass", "there are: small.", "large."),
    ],
)
def test_only_what_the_zone_allows_is_known(
    more: dict[str, Any], reason: str, told: str, not_told: str
) -> None:
    narrowed = zones.narrowed(SETTINGS, SETTINGS.zones["development"])
    found = refusal(spec(**more), narrowed)
    assert found is not None
    assert found.reason == reason
    assert told in found.message
    assert not_told not in found.message


@pytest.mark.parametrize("more", [{"profile": "gpu"}, {"accelerator": {"class": "large"}}])
def test_a_zone_without_lists_allows_what_there_is(more: dict[str, Any]) -> None:
    assert refusal(spec(**more), zones.narrowed(SETTINGS, SETTINGS.zones["deployment"])) is None
    assert refusal(spec(**more), zones.narrowed(SETTINGS, None)) is None


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"resources": {"limits": {"cpu": 3}}}, "cpu: 3 asked, 2 allowed"),
        ({"resources": {"limits": {"memory": "8Gi"}}}, "memory: 8Gi asked, 4Gi allowed"),
        ({"accelerator": {"class": "small", "count": 2}}, "x/small: 2 asked, 1 allowed"),
        (
            {"resources": {"limits": {"cpu": 1}}, "workers": {"count": 3}},
            "cpu: 3 times 1 asked, 2 allowed",
        ),
    ],
)
def test_what_could_never_start_is_told_with_numbers(more: dict[str, Any], told: str) -> None:
    found = zones.too_much(spec(**more), SETTINGS, DEVELOPMENT)
    assert found is not None
    assert told in found
    assert "zone development" in found
    assert zones.too_much(spec(**more), SETTINGS, NamespaceView("deployment")) is None
    assert zones.too_much(spec(**more), SETTINGS, NamespaceView()) is None


def test_what_fits_is_not_kept_out() -> None:
    exactly = spec(resources={"limits": {"cpu": "2000m", "memory": "4096Mi"}})
    assert zones.too_much(exactly, SETTINGS, DEVELOPMENT) is None
    assert zones.too_much(spec(), SETTINGS, DEVELOPMENT) is None, "the defaults of the configuration fit"
