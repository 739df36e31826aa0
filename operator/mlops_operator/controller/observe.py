"""From the store to what a plan is made from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from mlops_operator.api.base import LABEL_OWNER_UID
from mlops_operator.api.modelversion import ModelVersion
from mlops_operator.api.trainingdataset import TrainingDataset
from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.controller.keys import Key
from mlops_operator.controller.lines import Lines
from mlops_operator.controller.progress import ProgressBoard
from mlops_operator.controller.store import Parent, Store
from mlops_operator.domain.effects import Effect, Outcome
from mlops_operator.domain.observed import JobView, ObservedDataset, ObservedModel, ObservedRun

Observed = ObservedRun | ObservedDataset | ObservedModel


class Observer:
    """Puts together what is known of a resource at this moment."""

    def __init__(
        self,
        store: Store,
        progress: ProgressBoard,
        outcomes: Mapping[Effect, Outcome],
        lines: Lines | None = None,
    ) -> None:
        self._lines = lines
        self._store = store
        self._progress = progress
        self._outcomes = outcomes

    def observe(self, parent: Parent) -> Observed:
        """Give the observation of a resource.

        Raises
        ------
        pydantic.ValidationError
            The resource is not one that this version of the operator can read.
        """
        if parent.key.kind == "TrainingRun":
            return self._run(parent)
        if parent.key.kind == "TrainingDataset":
            return self._dataset(parent)
        return self._model(parent)

    def _run(self, parent: Parent) -> ObservedRun:
        namespace = parent.key.namespace
        run = TrainingRun.model_validate_json(parent.body)
        datasets = (self._store.parent(Key("TrainingDataset", namespace, name)) for name in parent.datasets)
        return ObservedRun(
            run=run,
            jobs=self._jobs(parent, [attempt.number for attempt in run.status.attempts]),
            pods=self._store.pods(namespace, parent.uid),
            datasets={found.key.name: _parse_dataset(found.body) for found in datasets if found},
            model_versions={
                model.metadata.name: model
                for model in self._models_of(namespace, parent.key.name)
                if _is_made_by(model, parent.uid)
            },
            progress=self._progress.of(parent.uid),
            heard_at=self._progress.heard_at(parent.uid),
            newer_ended=self._store.newer_ended(parent),
            worker_progress=self._progress.of_others(parent.uid),
            outcomes=self._outcomes,
            namespace=self._lines.namespace(namespace) if self._lines is not None else None,
            place=self._lines.place(namespace, parent.key.name) if self._lines is not None else None,
        )

    def _dataset(self, parent: Parent) -> ObservedDataset:
        dataset = TrainingDataset.model_validate_json(parent.body)
        jobs = self._store.jobs(parent.key.namespace, parent.uid)
        snapshot = dataset.status.snapshot
        if snapshot is not None:
            jobs = self._with_foreign(parent.key.namespace, jobs, [snapshot.job])
        return ObservedDataset(
            dataset=dataset,
            jobs=jobs,
            pods=self._store.pods(parent.key.namespace, parent.uid),
            outcomes=self._outcomes,
        )

    def _model(self, parent: Parent) -> ObservedModel:
        run = self._store.parent(Key("TrainingRun", parent.key.namespace, parent.run)) if parent.run else None
        return ObservedModel(
            model_version=ModelVersion.model_validate_json(parent.body),
            run=TrainingRun.model_validate_json(run.body) if run else None,
            outcomes=self._outcomes,
        )

    def _jobs(self, parent: Parent, attempts: list[int]) -> dict[str, JobView]:
        namespace, name = parent.key.namespace, parent.key.name
        names = [f"{name}-{number}" for number in attempts]
        return self._with_foreign(namespace, self._store.jobs(namespace, parent.uid), names)

    def _with_foreign(self, namespace: str, jobs: dict[str, JobView], names: list[str]) -> dict[str, JobView]:
        found = (self._store.foreign_job(namespace, name) for name in names if name not in jobs)
        return jobs | {job.name: job for job in found if job}

    def _models_of(self, namespace: str, run: str) -> list[ModelVersion]:
        return [ModelVersion.model_validate_json(p.body) for p in self._store.models_of(namespace, run)]


def _is_made_by(model: ModelVersion, run_uid: str) -> bool:
    source = model.spec.source.training_run
    named = source.uid if source else None
    return run_uid in {named, model.metadata.labels.get(LABEL_OWNER_UID)}


@lru_cache(maxsize=64)
def _parse_dataset(body: bytes) -> TrainingDataset:
    # Five hundred runs of one dataset read it once.
    return TrainingDataset.model_validate_json(body)
