"""The operator's configuration: /etc/mlops-operator/config.yaml, checked at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from mlops_operator.api.base import DnsLabel, DnsSubdomain, Model, Quantity
from mlops_operator.api.trainingrun import (
    Accelerator,
    EnvVar,
    PodOptions,
    Resources,
    Scheduling,
    Toleration,
)
from mlops_operator.errors import SettingsError

VolumeKind = Literal["configMap", "secret", "persistentVolumeClaim", "emptyDir", "nfs"]


class _Strict(Model):
    model_config = ConfigDict(extra="forbid")


class ResourceDefaults(_Strict):
    """Requests and limits of a container, where nothing else is said."""

    requests: dict[str, str]
    limits: dict[str, str]


class AcceleratorClass(_Strict):
    """What ``spec.accelerator.class`` stands for."""

    resource: str = Field(description="Extended resource, such as nvidia.com/gpu.")
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []


class Profile(_Strict):
    """What ``spec.profile`` stands for: defaults, each of which gives way to what the run says itself."""

    resources: Resources = Resources()
    accelerator: Accelerator | None = None
    scheduling: Scheduling = Scheduling()
    pod: PodOptions = PodOptions()
    env: list[EnvVar] = []


class Zone(_Strict):
    """What runs of a namespace may ask for, and how many of them run at a time."""

    default_profile: str | None = Field(default=None, description="Profile of runs that name none.")
    profiles: list[str] | None = Field(default=None, description="Profiles that may be named; default: all.")
    accelerator_classes: list[str] | None = Field(
        default=None, description="Accelerator classes that may be named; default: all."
    )
    max_resources: dict[str, Quantity] = Field(
        default={}, description="What the training containers of a run may use at most, in all."
    )
    max_concurrent_runs: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="How many runs of a namespace have a pod at a time; the others wait in line.",
    )
    priority_class_name: DnsSubdomain | None = Field(
        default=None, description="PriorityClass of runs that name none."
    )
    priorities: dict[str, int] = Field(
        default={},
        description="Place in the line by PriorityClass: higher goes first; 0 where a class is not named.",
    )


class S3Settings(_Strict):
    endpoint: str | None = Field(default=None, description="Endpoint where a Secret names none.")
    region: str = "us-east-1"
    force_path_style: bool = True
    allowed_endpoints: list[str] = Field(
        default=[],
        description="Endpoints (scheme://host[:port]) that the operator may dial; the default endpoint is one.",
    )


class ProxySettings(_Strict):
    http: str | None = None
    https: str | None = None
    no_proxy: list[str] = []


class PipSettings(_Strict):
    """Where the containers that install ``spec.requirements`` find packages."""

    index_url: str | None = None
    extra_index_urls: list[str] = []
    trusted_hosts: list[str] = []


class ProgressSettings(_Strict):
    url: str = "https://mlops-operator.mlops-system.svc:443/v1/progress"
    interval_seconds: float = 5.0


class OutcomeRetention(_Strict):
    """How long the resources of runs that ended alike stay. Their history and data in the bucket are not touched."""

    keep: int | None = Field(
        default=None, ge=0, description="The newest so many of a namespace stay; default: all."
    )
    max_age_seconds: int | None = Field(
        default=None,
        ge=0,
        description="From their end; spec.ttlSecondsAfterFinished goes before it. Default: any age.",
    )


class RunRetention(_Strict):
    """By how they ended."""

    succeeded: OutcomeRetention = OutcomeRetention()
    failed: OutcomeRetention = OutcomeRetention()
    cancelled: OutcomeRetention = OutcomeRetention()


class Settings(_Strict):
    """All of it; every field has a default that works beside a workspace of the platform."""

    agent_image: str = "mlops-agent"
    agent_image_pull_policy: str | None = None
    workspace_secret: str = Field(
        default="{workspace}-datalab", description="Name of the Secret with the S3 credentials."
    )
    bucket: str = Field(default="{workspace}", description="Bucket where the Secret has no key BUCKET.")
    s3: S3Settings = S3Settings()
    proxy: ProxySettings = ProxySettings()
    ca_bundle: str | None = Field(
        default=None, description="PEM certificates that all containers trust beside their own."
    )
    pip: PipSettings = PipSettings()
    progress: ProgressSettings = ProgressSettings()
    training_resources: ResourceDefaults = ResourceDefaults(
        requests={"cpu": "500m", "memory": "512Mi"}, limits={"cpu": "2", "memory": "2Gi"}
    )
    agent_resources: ResourceDefaults = ResourceDefaults(
        requests={"cpu": "50m", "memory": "128Mi"}, limits={"cpu": "1", "memory": "128Mi"}
    )
    snapshot_resources: ResourceDefaults = ResourceDefaults(
        requests={"cpu": "50m", "memory": "128Mi"}, limits={"cpu": "1", "memory": "256Mi"}
    )
    accelerator_classes: dict[str, AcceleratorClass] = {}
    profiles: dict[DnsLabel, Profile] = {}
    zones: dict[str, Zone] = Field(default={}, description="By the value of the namespace's label.")
    zone_label: str = "mlops.eoepca.org/zone"
    default_zone: str | None = Field(default=None, description="Zone of namespaces without the label.")
    allowed_toleration_keys: list[str] = []
    allowed_service_accounts: list[str] = Field(
        default=["default"], description="ServiceAccounts whose token a training container may get."
    )
    allowed_priority_classes: list[str] = []
    allowed_runtime_classes: list[str] = []
    allowed_volume_kinds: list[VolumeKind] = ["configMap", "secret", "persistentVolumeClaim", "emptyDir"]
    run_as_user: int = 1000
    grace_period_seconds: int = 60
    upload_seconds: int = 40
    acknowledge_seconds: int = 3600
    job_retention_seconds: int = 3600
    run_retention: RunRetention = RunRetention()
    image_pull_policy: str | None = None

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        """Refuse a name that stands for nothing: it would be found out by a user's run only."""
        if self.default_zone is not None and self.default_zone not in self.zones:
            raise ValueError(f"defaultZone: there is no zone {self.default_zone}")
        for name, profile in self.profiles.items():
            if profile.accelerator is not None and profile.accelerator.class_ not in self.accelerator_classes:
                raise ValueError(
                    f"profiles.{name}: there is no accelerator class {profile.accelerator.class_}"
                )
        for name, zone in self.zones.items():
            named = {*(zone.profiles or []), *filter(None, [zone.default_profile])}
            for what, names, there in (
                ("profile", named, self.profiles),
                ("accelerator class", zone.accelerator_classes or [], self.accelerator_classes),
            ):
                missing = sorted({*names} - {*there})
                if missing:
                    raise ValueError(f"zones.{name}: there is no {what} {', '.join(missing)}")
        return self

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read a YAML file.

        Raises
        ------
        SettingsError
            The file is not there, not YAML, or a field is wrong: the message names the field.
        """
        try:
            content: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            # Unknown members are refused in the types that users write, too.
            return cls.model_validate(content, extra="forbid")
        except (OSError, yaml.YAMLError) as error:
            raise SettingsError(f"cannot read the configuration {path}: {error}") from error
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise SettingsError(f"the configuration {path} is wrong: {problems}") from error
