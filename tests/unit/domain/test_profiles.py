"""What a profile fills up, and that the run's own word wins."""

from __future__ import annotations

from typing import Any

from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.domain import resources
from mlops_operator.domain.acceptance import refusal
from mlops_operator.domain.profiles import applied
from mlops_operator.settings import Settings, Zone

SETTINGS = Settings.model_validate(
    {
        "acceleratorClasses": {"gpu": {"resource": "nvidia.com/gpu"}},
        "profiles": {
            "gpu-small": {
                "resources": {"requests": {"memory": "4Gi", "cpu": 1}, "limits": {"memory": "8Gi"}},
                "accelerator": {"class": "gpu"},
                "scheduling": {
                    "nodeSelector": {"pool": "gpu", "disk": "fast"},
                    "tolerations": [{"key": "gpu", "operator": "Exists"}],
                    "priorityClassName": "gpu-users",
                },
                "pod": {"volumes": [{"name": "cache", "emptyDir": {}}], "sharedMemory": "1Gi"},
                "env": [{"name": "A", "value": "profile"}, {"name": "B", "value": "profile"}],
            }
        },
        "allowedTolerationKeys": ["spot"],
    }
)
OWN: dict[str, Any] = {
    "resources": {"limits": {"memory": "2Gi"}},
    "scheduling": {"nodeSelector": {"disk": "slow"}, "tolerations": [{"key": "spot", "operator": "Exists"}]},
    "pod": {
        "volumes": [{"name": "cache", "secret": {"secretName": "s"}}, {"name": "more", "emptyDir": {}}],
        "imagePullPolicy": "Always",
    },
    "env": [{"name": "A", "value": "run"}],
}


def run(**spec: Any) -> TrainingRun:
    return TrainingRun.from_object(
        {"metadata": {"name": "wine"}, "spec": {"image": "x", "command": ["y"], **spec}}
    )


def test_without_a_profile_nothing_changes() -> None:
    plain = run(**OWN)
    assert applied(plain, SETTINGS, None) == (plain, SETTINGS)
    other = run(profile="not-there")
    assert applied(other, SETTINGS, None) == (other, SETTINGS), "acceptance says that there is none"


def test_a_profile_fills_up() -> None:
    found, settings = applied(run(profile="gpu-small"), SETTINGS, None)
    spec = found.spec.to_object()
    profile = SETTINGS.profiles["gpu-small"].to_object()
    for name in ("accelerator", "scheduling", "pod", "env"):
        assert spec[name] == profile[name]
    assert resources.of_training(found.spec, settings) == {
        "requests": {"cpu": "1", "memory": "4Gi", "nvidia.com/gpu": "1"},
        "limits": {"cpu": "2", "memory": "8Gi", "nvidia.com/gpu": "1"},
    }
    assert refusal(found.spec, settings) is None, "what the platform wrote is allowed"
    refused = refusal(found.spec, SETTINGS)
    assert refused is not None
    assert refused.reason == "TolerationNotAllowed", "and by the profile alone"


def test_what_the_run_says_wins() -> None:
    found, settings = applied(run(profile="gpu-small", **OWN), SETTINGS, None)
    spec = found.spec
    assert resources.of_training(spec, settings)["limits"]["memory"] == "2Gi"
    assert resources.of_training(spec, settings)["requests"]["memory"] == "2Gi", "a default gives way"
    assert spec.scheduling.node_selector == {"pool": "gpu", "disk": "slow"}
    assert [t.key for t in spec.scheduling.tolerations or []] == ["gpu", "spot"]
    assert [(v.name, v.secret is not None) for v in spec.pod.volumes] == [("cache", True), ("more", False)]
    assert (spec.pod.image_pull_policy, spec.pod.shared_memory) == ("Always", "1Gi")
    assert {v.name: v.value for v in spec.env} == {"A": "run", "B": "profile"}
    assert spec.profile == "gpu-small", "the record says it"


def test_a_zone_has_a_default_profile_and_a_priority_class() -> None:
    zone = Zone(default_profile="gpu-small", priority_class_name="development")
    found, settings = applied(run(), SETTINGS, zone)
    assert found.spec.accelerator is not None
    assert found.spec.scheduling.priority_class_name == "gpu-users"
    plain = Zone(priority_class_name="development")
    found, settings = applied(run(), SETTINGS, plain)
    assert found.spec.scheduling.priority_class_name == "development"
    assert refusal(found.spec, settings) is None
    own = run(scheduling={"priorityClassName": "mine"})
    found, settings = applied(own, SETTINGS, plain)
    assert found.spec.scheduling.priority_class_name == "mine"
    refused = refusal(found.spec, settings)
    assert refused is not None
    assert refused.reason == "PriorityClassNotAllowed"


def test_a_run_made_again_from_its_record_is_the_same() -> None:
    zone = Zone(default_profile="gpu-small", priority_class_name="development")
    for own in (run(), run(profile="gpu-small", **OWN), run(scheduling={"nodeSelector": {"a": "b"}})):
        first, settings = applied(own, SETTINGS, zone)
        again, _ = applied(run(**first.spec.to_object()), SETTINGS, zone)
        assert again.spec.to_object() == first.spec.to_object()
        assert refusal(again.spec, settings) is None
    plain = Zone(priority_class_name="development")
    first, _ = applied(run(), SETTINGS, plain)
    again, settings = applied(run(**first.spec.to_object()), SETTINGS, plain)
    assert refusal(again.spec, settings) is None
