"""Chooses the plan function for what was observed."""

from __future__ import annotations

from datetime import datetime

from mlops_operator.controller.observe import Observed
from mlops_operator.domain.dataset_plan import plan_dataset
from mlops_operator.domain.model_plan import plan_model
from mlops_operator.domain.observed import ObservedDataset, ObservedRun
from mlops_operator.domain.plan import Plan
from mlops_operator.domain.run_plan import plan_run
from mlops_operator.settings import Settings


class DomainPlanner:
    """Plans with the operator's settings (see ``reconcile.Planner``)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, observed: Observed, now: datetime) -> Plan:
        if isinstance(observed, ObservedRun):
            return plan_run(observed, self._settings, now)
        if isinstance(observed, ObservedDataset):
            return plan_dataset(observed, self._settings, now)
        return plan_model(observed, self._settings, now)
