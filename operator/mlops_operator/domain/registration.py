"""A run that has succeeded makes the ModelVersion of its model: number claimed first, then the resource, then the record.

The run's status names the ModelVersion only once it was seen. A crash in between makes the same one again, under the
same number; one that a user deleted later is not made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlops_operator.api.base import (
    API_VERSION,
    LABEL_MANAGED_BY,
    LABEL_OWNER_KIND,
    LABEL_OWNER_NAME,
    LABEL_OWNER_UID,
)
from mlops_operator.api.modelversion import ModelVersion
from mlops_operator.api.trainingrun import ModelOutput, RunModelStatus, TrainingRun
from mlops_operator.domain.conditions import Claim, find
from mlops_operator.domain.effects import ClaimVersion, Create, Effect, Failed, VersionClaimed
from mlops_operator.domain.naming import model_version_name, shorten
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.plan import Object
from mlops_operator.domain.retry import is_mended_outside, seconds_until_again

CONDITION = "Registered"
LOOK_AGAIN_SECONDS = 30.0


@dataclass(frozen=True)
class Registration:
    """What is to be done. ``done``: nothing any more."""

    model: RunModelStatus | None = None
    claim: Claim | None = None
    effects: tuple[Effect, ...] = ()
    create: Object | None = None
    again_seconds: float | None = None
    done: bool = False


def register(observed: ObservedRun, now: datetime) -> Registration:
    """Decide on the ModelVersion of a run that has succeeded."""
    run = observed.run
    output, model = run.spec.outputs.model, run.status.model
    if output is None or output.register_ != "Always" or model is None or model.name is not None:
        return Registration(done=True)
    given_up = find(run.status.conditions, CONDITION)
    if given_up is not None and given_up.status == "False":
        return Registration(done=True)
    made = _made(observed, output)
    if made is not None:
        name = made.metadata.name
        recorded = model.model_copy(update={"name": name, "version": made.spec.version})
        return Registration(
            recorded, Claim(CONDITION, "True", "Registered", f"ModelVersion {name} was made."), done=True
        )
    return _claimed(observed, run, output, now)


def _made(observed: ObservedRun, output: ModelOutput) -> ModelVersion | None:
    for version in observed.model_versions.values():
        source = version.spec.source.training_run
        if (
            version.spec.model == output.name
            and source is not None
            and source.uid == observed.run.metadata.uid
        ):
            return version
    return None


def _claimed(observed: ObservedRun, run: TrainingRun, output: ModelOutput, now: datetime) -> Registration:
    effect = ClaimVersion(run.metadata.namespace, output.name, output.version, run.metadata.uid)
    outcome = observed.outcomes.get(effect)
    if isinstance(outcome, Failed):
        return _failed(outcome, (effect,), now)
    if not isinstance(outcome, VersionClaimed):
        return Registration(effects=(effect,))
    version = model_version(run, output, outcome.version)
    name = model_version_name(output.name, outcome.version)
    refused = observed.outcomes.get(Create(run.metadata.namespace, "ModelVersion", name))
    if isinstance(refused, Failed):
        waiting = _failed(refused, (), now)
        if waiting.again_seconds != 0:
            return waiting
    return Registration(create=version, again_seconds=LOOK_AGAIN_SECONDS)


def _failed(outcome: Failed, effects: tuple[Effect, ...], now: datetime) -> Registration:
    """Unknown while it is tried again; False for good."""
    if not is_mended_outside(outcome):
        message = f"The run has succeeded, but no ModelVersion was made of its model: {outcome.message}"
        return Registration(claim=Claim(CONDITION, "False", outcome.cause, message), done=True)
    left = seconds_until_again(outcome, now)
    message = f"The ModelVersion is not made yet: {outcome.message}"
    return Registration(
        claim=Claim(CONDITION, "Unknown", outcome.cause, message),
        effects=effects if left == 0 else (),
        again_seconds=left if left or not effects else None,
    )


def model_version(run: TrainingRun, output: ModelOutput, version: str) -> Object:
    """Give the ModelVersion. It has no owner: deleting a run never deletes a model."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": {
            "name": model_version_name(output.name, version),
            "namespace": run.metadata.namespace,
            "labels": {
                LABEL_MANAGED_BY: "mlops-operator",
                LABEL_OWNER_KIND: "TrainingRun",
                LABEL_OWNER_NAME: shorten(run.metadata.name),
                LABEL_OWNER_UID: run.metadata.uid,
            },
        },
        "spec": {
            "model": output.name,
            "version": version,
            "source": {"trainingRun": {"name": run.metadata.name, "uid": run.metadata.uid}},
            "metadata": output.metadata.to_object(),
        },
    }
