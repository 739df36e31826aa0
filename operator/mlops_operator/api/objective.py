"""What a run is to make best, and when it stops because it no longer does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mlops_operator.api.base import Model

MetricName = Annotated[str, Field(min_length=1, max_length=250)]
Goal = Literal["Maximize", "Minimize"]


class Objective(Model):
    """The metric that says how good the training is."""

    name: MetricName = Field(description="Name of the metric, as the code logs it.")
    goal: Goal = Field(description="Whether larger or smaller values are better.")


class EarlyStopping(Model):
    """Ends a training that no longer gets better. The run has then succeeded."""

    patience: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        description="How many values of the objective in a row may be no better than the best one: then the command gets"
        " SIGTERM and has the pod's grace period to end."
    )
    min_delta: Annotated[float, Field(ge=0)] = Field(
        default=0, description="By how much a value must be better to count."
    )


class ObjectiveStatus(Model):
    """The best value of the objective, over all attempts."""

    name: Annotated[str, Field(max_length=250)] = Field(description="Name of the metric.")
    goal: Goal = Field(description="Whether larger or smaller values are better.")
    best: float | None = Field(default=None, description="Best finite value.")
    step: int | None = Field(default=None, description="Step of the best value.")
    checkpoint: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None,
        description="Where the best checkpoint is in the bucket, among those whose name tells a step at which the"
        " objective was logged. It is kept beside the newest.",
    )
