"""The configuration file: what it may say, and how it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_operator.errors import SettingsError
from mlops_operator.settings import Settings


def load(folder: Path, text: str) -> Settings:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return Settings.load(path)


def test_profiles_and_zones_are_read(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "profiles: {small: {resources: {limits: {cpu: 1}}}}\n"
        "zones: {development: {defaultProfile: small, maxConcurrentRuns: 2, maxResources: {cpu: 4}}}\n",
    )
    assert settings.zones["development"].max_concurrent_runs == 2
    assert settings.profiles["small"].resources.limits == {"cpu": 1}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("zone: {}", "zone: Extra"),
        ("profiles: {small: {resources: {limit: {cpu: 1}}}}", "profiles.small.resources.limit: Extra"),
        (
            "profiles: {small: {accelerator: {class: gpu}}}",
            "profiles.small: there is no accelerator class gpu",
        ),
        ("zones: {d: {profiles: [small]}}", "zones.d: there is no profile small"),
        ("zones: {d: {defaultProfile: small}}", "zones.d: there is no profile small"),
        ("zones: {d: {acceleratorClasses: [gpu]}}", "zones.d: there is no accelerator class gpu"),
        ("zones: {d: {maxConcurrentRuns: 0}}", "zones.d.maxConcurrentRuns"),
        ("zones: {d: {maxResources: {cpu: lots}}}", "zones.d.maxResources"),
        ("defaultZone: d", "there is no zone d"),
        ("- a list", "wrong"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, text)
    assert told in str(refused.value)
