"""A small world for plans: API server, kubelet, bucket, and an executor that is killed between any two of its calls.

The executor keeps to the contract of ``domain.plan.Plan``; everything else may be late, lost or doubled.
"""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from mlops_operator.api.base import LABEL_ATTEMPT
from mlops_operator.api.modelversion import ModelVersion
from mlops_operator.api.trainingrun import ENDED, TrainingRun, TrainingRunStatus
from mlops_operator.api.wire import (
    BucketHint,
    ModelDescription,
    ProgressReport,
    RunIdentity,
    RunManifest,
    TerminationReport,
    TrainingExit,
)
from mlops_operator.domain.effects import (
    CheckSecret,
    CheckWorkspace,
    ClaimVersion,
    Effect,
    Failed,
    Outcome,
    PodTried,
    ProgressRead,
    ReadProgress,
    ReadRunManifest,
    RecordRun,
    RunManifestRead,
    RunRecorded,
    SecretPresent,
    TryPod,
    VersionClaimed,
    WorkspaceReady,
)
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.plan import Plan
from mlops_operator.domain.run_plan import plan_run
from mlops_operator.domain.views import job_view, pod_view
from mlops_operator.settings import Settings

Object = dict[str, Any]
START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NAMESPACE = "ws-alice"
UID = "0a1b2c3d-0000-4000-8000-000000000001"
SPEC: Object = {
    "image": "python-ml:1",
    "command": ["python", "train.py"],
    "source": {"inline": {"files": {"train.py": "print('trained')"}}},
    "parameters": {"epochs": 3},
    "outputs": {"model": {"name": "wine"}},
}


class Crashed(Exception):  # noqa: N818 - what happens, not what went wrong
    """The operator was killed."""


@dataclass
class Fate:
    """What is to happen beside the operator, whenever its turn comes."""

    exit_code: int = 0
    produces_model: bool = True
    cancel: bool = False
    disruptions: int = 0  # pods and Jobs deleted, evicted, or lost with their node
    suspends: int = 0  # so many times suspended, and resumed
    stagings_fail: int = 0  # so many stage-ins are refused by the storage first
    storage_fails: int = 0  # so many reads and claims fail first


@dataclass
class Memory:
    """What dies with the operator's process."""

    run: Object
    jobs: dict[str, tuple[Object, bool]] = field(default_factory=dict)  # the object, and whether it is gone
    pods: dict[str, tuple[Object, bool]] = field(default_factory=dict)
    versions: dict[str, Object] = field(default_factory=dict)
    progress: ProgressReport | None = None
    outcomes: dict[Effect, Outcome] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)


class World:
    """Everything outside the operator, and the operator."""

    def __init__(self, random: Random, fate: Fate, spec: Object | None = None) -> None:
        self.random = random
        self.fate = fate
        self.now = START
        self.settings = Settings(job_retention_seconds=60)
        self.version = 1
        self.run: Object = {
            "metadata": {
                "name": "wine",
                "namespace": NAMESPACE,
                "uid": UID,
                "generation": 1,
                "resourceVersion": "1",
            },
            "spec": copy.deepcopy(spec or SPEC),
        }
        self.jobs: dict[str, Object] = {}
        self.pods: dict[str, Object] = {}
        self.versions: dict[str, Object] = {}
        self.manifest: RunManifest | None = None
        self.claims: dict[str, str] = {}
        self.history: Object = {}
        self.stages: dict[str, str] = {}  # of each pod
        self.unreachable: set[str] = set()  # pods whose node does not answer
        self.sequence = 0
        self.job_creates = 0
        self.disruptions = 0
        self.suspends = 0
        self.trainings = 0
        self.highest = 0  # number of an attempt
        self.writes: list[Object] = []
        self.live_writes = 0
        self.crashes = 0
        self.uids = 0
        self.memory = self._listed()

    # --- the operator ---------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Begin anew with complete lists, as after a crash."""
        self.crashes += 1
        self.memory = self._listed()

    def _listed(self) -> Memory:
        return Memory(
            run=copy.deepcopy(self.run),
            jobs={name: (copy.deepcopy(job), False) for name, job in self.jobs.items()},
            pods={uid: (copy.deepcopy(pod), False) for uid, pod in self.pods.items()},
            versions=copy.deepcopy(self.versions),
        )

    def observed(self) -> ObservedRun:
        memory = self.memory
        pods = [pod_view(pod, gone) for pod, gone in memory.pods.values()]
        return ObservedRun(
            run=TrainingRun.from_object(memory.run),
            jobs={name: job_view(job, gone) for name, (job, gone) in memory.jobs.items()},
            pods=tuple(reversed(pods)),
            model_versions={
                name: ModelVersion.from_object(version) for name, version in memory.versions.items()
            },
            progress=memory.progress,
            outcomes=dict(memory.outcomes),
        )

    def plan(self) -> Plan:
        """Plan, and hold the plan to what every plan must keep."""
        observed = self.observed()
        plan = plan_run(observed, self.settings, self.now)
        if plan.status is not None:
            status = TrainingRunStatus.model_validate(plan.status)
            before = observed.run.status
            check_numbers(before, status)
            assert before.phase not in ENDED or status.phase == before.phase, (
                "an ended run is never judged again"
            )
            known = {a.number: a.job_uid for a in before.attempts if a.job_uid}
            assert all(a.job_uid == known[a.number] for a in status.attempts if a.number in known)
            again = replace(observed, run=observed.run.model_copy(update={"status": status}))
            assert plan_run(again, self.settings, self.now).status is None, "planning again changes nothing"
        else:
            assert plan.create_job is None
        return plan

    def reconcile(self, crash_after: int | None = None) -> Plan:
        """Carry a plan out; ``crash_after`` so many calls the process is killed."""
        calls = 0

        def call() -> None:
            nonlocal calls
            if crash_after is not None and calls >= crash_after:
                raise Crashed
            calls += 1

        plan = self.plan()
        if plan.status is not None:
            call()
            if not self._write_status(plan.status, live=plan.live):
                return plan
        if plan.create_job is not None:
            call()
            self._create_job(plan.create_job)
        if plan.create_model_version is not None:
            call()
            version = plan.create_model_version
            self.versions.setdefault(version["metadata"]["name"], version)
        for name, uid in plan.delete_jobs:
            call()
            if name in self.jobs and self.jobs[name]["metadata"]["uid"] == uid:
                self._delete_job(name)
        call()
        self.memory.effects += [e for e in plan.effects if e not in self.memory.effects]
        return plan

    def _write_status(self, status: Object, *, live: bool) -> bool:
        if self.memory.run["metadata"]["resourceVersion"] != self.run["metadata"]["resourceVersion"]:
            return False
        assert self.run.get("status") != status, "a write that changes nothing"
        self.run["status"] = copy.deepcopy(status)
        self._touch(self.run)
        self.memory.run = copy.deepcopy(self.run)
        self.writes.append(status)
        self.live_writes += live
        return True

    def _touch(self, obj: Object) -> None:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)

    def _create_job(self, job: Object) -> None:
        name = job["metadata"]["name"]
        if name not in self.jobs:
            self.check_start(name)
            self.job_creates += 1
            self.uids += 1
            created = {**copy.deepcopy(job), "status": {}}
            created["metadata"]["uid"] = f"job-{self.uids}"
            self.jobs[name] = created
        self.memory.jobs[name] = (copy.deepcopy(self.jobs[name]), False)

    def do_effect(self) -> None:
        """Let the oldest effect under way come back."""
        if not self.memory.effects:
            return
        effect = self.memory.effects.pop(0)
        before = self.memory.outcomes.get(effect)
        failures = before.failures if isinstance(before, Failed) else 0
        if self.fate.storage_fails > 0:
            self.fate.storage_fails -= 1
            message = "http://s3 does not answer"
            outcome: Outcome = Failed(
                self.now, "StorageUnavailable", message, transient=True, failures=failures + 1
            )
        else:
            outcome = self._outcome(effect)
        self.memory.outcomes[effect] = outcome

    def _outcome(self, effect: Effect) -> Outcome:  # noqa: PLR0911 - one for each kind
        match effect:
            case CheckWorkspace():
                hint = BucketHint(endpoint="http://s3", bucket=NAMESPACE)
                return WorkspaceReady(self.now, f"{NAMESPACE}-datalab", hint, "-----BEGIN CERTIFICATE-----")
            case CheckSecret():
                return SecretPresent(self.now, effect.name)
            case ReadRunManifest():
                there = self.manifest is not None
                return RunManifestRead(
                    self.now, self.manifest, "sha256:m" if there else None, files_verified=there
                )
            case ReadProgress():
                return ProgressRead(self.now, self._report())
            case TryPod():
                return PodTried(self.now, None)
            case ClaimVersion():
                mine = next((v for v, owner in self.claims.items() if owner == effect.owner), None)
                version = mine or str(len(self.claims) + 1)
                self.claims[version] = effect.owner
                return VersionClaimed(self.now, version)
            case RecordRun():
                self.history = json.loads(effect.document)
                return RunRecorded(self.now, "mlops/runs/wine-0a1b2c3d/run.json")
        raise AssertionError(effect)

    # --- events ---------------------------------------------------------------------------------------------

    def deliver(self) -> None:
        """Bring the operator's store up to date, with tombstones for what has gone."""
        memory = self.memory
        memory.run = copy.deepcopy(self.run)
        memory.versions = copy.deepcopy(self.versions)
        for seen, real in ((memory.jobs, self.jobs), (memory.pods, self.pods)):
            for key, (obj, _) in list(seen.items()):
                seen[key] = (copy.deepcopy(real[key]), False) if key in real else (obj, True)
            for key, obj in real.items():
                seen.setdefault(key, (copy.deepcopy(obj), False))

    def report(self) -> None:
        """Let the agent's report arrive; an older one after a newer one is dropped."""
        report, known = self._report(), self.memory.progress
        if report is not None and (known is None or report.run.attempt >= known.run.attempt):
            self.memory.progress = report

    def _report(self) -> ProgressReport | None:
        stages = ("training", "trained", "uploaded", "acknowledged")
        speaking = [uid for uid in self.pods if self.stages[uid] in stages and uid not in self.unreachable]
        if not speaking:
            return None
        self.sequence += 1
        uid = self.random.choice(speaking)
        ended, pod = self.stages[uid] != "training", self.pods[uid]
        return ProgressReport(
            run=self._identity(pod),
            pod_uid=uid,
            sequence=self.sequence,
            phase="Uploading" if ended else "Running",
            started_at=START + timedelta(seconds=5),
            step=self.random.randrange(4),
            training=self._training() if ended else None,
            manifest_digest="sha256:m" if self.manifest is not None else None,
            failure=self._failure() if self.stages[uid] == "acknowledged" else None,
        )

    def _failure(self) -> TerminationReport | None:
        if self.manifest is not None or self.fate.exit_code != 0:
            return None
        return TerminationReport(cause="NoModelProduced", message="No model among: notes.txt")

    def _identity(self, pod: Object) -> RunIdentity:
        attempt = int(pod["metadata"]["labels"][LABEL_ATTEMPT])
        return RunIdentity(name="wine", namespace=NAMESPACE, uid=UID, attempt=attempt)

    def _training(self) -> TrainingExit:
        begin = START + timedelta(seconds=5)
        return TrainingExit(
            exit_code=self.fate.exit_code,
            start_time=begin,
            end_time=self.now,
            cpu_seconds=1.5,
            log_tail="the log\n",
        )

    # --- Kubernetes -----------------------------------------------------------------------------------------

    def kubelet(self) -> None:
        """Bring a Job or a pod one step on."""
        for name, job in list(self.jobs.items()):
            if not job.get("podMade"):
                job["podMade"] = True
                self._make_pod(name, job)
                return
        if not self.pods:
            return
        uid = self.random.choice(list(self.pods))
        pod = self.pods[uid]
        if uid in self.unreachable:
            self._advance(uid, copy.deepcopy(pod))  # it goes on, and nobody hears of it
        elif pod["metadata"].get("deletionTimestamp"):
            self._finish_deleted(uid, pod)
        else:
            self._advance(uid, pod)

    def _make_pod(self, name: str, job: Object) -> None:
        self.uids += 1
        uid = f"pod-{self.uids}"
        self.stages[uid] = "created"
        self.pods[uid] = {
            "metadata": {
                "name": f"{name}-abcde",
                "uid": uid,
                "creationTimestamp": _text(self.now),
                "labels": {**job["spec"]["template"]["metadata"]["labels"], "job-name": name},
            },
            "spec": {},
            "status": {"phase": "Pending"},
        }

    def _advance(self, uid: str, pod: Object) -> None:
        status = pod["status"]
        after = {
            "created": "scheduled",
            "scheduled": "training",
            "training": "trained",
            "trained": "uploaded",
            "uploaded": "acknowledged",
            "acknowledged": "ended",
        }
        stage = self.stages[uid] = after.get(self.stages[uid], self.stages[uid])
        if stage == "scheduled":
            pod["spec"]["nodeName"] = "node-1"
            status["conditions"] = [{"type": "PodScheduled", "status": "True"}]
        elif stage == "training":
            self._stage_in(uid, pod)
        elif stage == "uploaded":
            if self.fate.exit_code == 0 and self.fate.produces_model:
                self._write_manifest(pod)
        elif stage == "ended" and status["phase"] == "Running":
            self._end_pod(pod)

    def _stage_in(self, uid: str, pod: Object) -> None:
        """Begin to train, unless stage-in refuses."""
        refused = None
        if self.manifest is not None:
            refused = "InternalError"
        elif self.fate.stagings_fail > 0:
            self.fate.stagings_fail -= 1
            refused = "StorageDenied"
        if refused is not None:
            self.stages[uid] = "ended"
            report = TerminationReport(cause=refused, message="no").model_dump_json(by_alias=True)
            ended = {"exitCode": 1, "reason": "Error", "message": report}
            pod["status"]["initContainerStatuses"] = [_container("stage-in", {"terminated": ended})]
            pod["status"]["phase"] = "Failed"
            self._end_job(pod, "Failed")
            return
        others = [self.stages[other] for other in self.pods if other != uid]
        assert all(stage == "ended" for stage in others), "nothing runs twice at once"
        self.trainings += 1
        pod["status"]["phase"] = "Running"
        running = {"running": {"startedAt": _text(self.now)}}
        pod["status"]["containerStatuses"] = [_container("train", running)]

    def _write_manifest(self, pod: Object) -> None:
        model = ModelDescription(
            path="model", selected_by="modelDir", format="onnx", main_file="m.onnx", files=[]
        )
        self.manifest = RunManifest(
            run=self._identity(pod), training=self._training(), files=[], model=model, created_at=self.now
        )

    def _end_pod(self, pod: Object) -> None:
        code = self.fate.exit_code
        ended = {
            "exitCode": code,
            "reason": "Completed" if code == 0 else "Error",
            "finishedAt": _text(self.now),
        }
        pod["status"]["containerStatuses"] = [_container("train", {"terminated": ended})]
        pod["status"]["phase"] = "Succeeded" if code == 0 else "Failed"
        self._end_job(pod, "Complete" if code == 0 else "Failed")

    def _end_job(self, pod: Object, kind: str) -> None:
        job = self.jobs.get(pod["metadata"]["labels"]["job-name"])
        if job is not None:
            condition = {"type": kind, "status": "True", "lastTransitionTime": _text(self.now)}
            job["status"] = {"conditions": [condition]}

    def _finish_deleted(self, uid: str, pod: Object) -> None:
        """End a pod within its grace: a finished training may still be uploaded, or may not."""
        stored = self.fate.exit_code == 0 and self.fate.produces_model
        if self.stages[uid] == "trained" and stored and self.random.random() < 0.5:
            self._write_manifest(pod)
        self._remove(uid, pod)

    def _remove(self, uid: str, pod: Object) -> None:
        self.stages[uid] = "gone"
        self.unreachable.discard(uid)
        del self.pods[uid]
        self._end_job(pod, "Failed")

    def _delete_job(self, name: str) -> None:
        del self.jobs[name]
        for pod in self.pods.values():
            if pod["metadata"]["labels"]["job-name"] == name:
                self._delete_pod(pod)

    def _delete_pod(self, pod: Object) -> None:
        # Of a pod that has ended the time of deletion may move.
        pod["metadata"]["deletionTimestamp"] = _text(self.now + timedelta(seconds=60))

    def check_start(self, name: str) -> None:
        """Hold what must be true when the operator makes a Job that is not there."""
        number = int(name.rsplit("-", 1)[1])
        attempts = self.status.attempts
        assert attempts[-1].number == number, "it is recorded first"
        living = [uid for uid in self.pods if self.stages[uid] != "ended"]
        assert not living, "nothing runs twice at once"
        assert all(a.exit_code != 0 for a in attempts), "what ended with 0 is never run again"
        if number > self.highest:
            assert self.manifest is None, "nothing is run again after its end"
        assert number in (self.highest, self.highest + 1)
        assert not self.run["spec"].get("suspend") or self.memory.run != self.run, "nothing starts suspended"
        self.highest = number

    # --- what befalls it ------------------------------------------------------------------------------------

    def user_acts(self) -> None:
        """Let the user do what the fate holds, once."""
        if self.fate.cancel:
            self.fate.cancel = False
            self.run["spec"]["cancel"] = True
            self.run["metadata"]["generation"] += 1
            self._touch(self.run)
        elif self.fate.suspends and self.random.random() < 0.7:
            suspended = not self.run["spec"].get("suspend")
            self.fate.suspends -= not suspended
            self.suspends += suspended
            self._set_suspend(suspended)
        elif self.fate.disruptions and self.pods:
            self.fate.disruptions -= 1
            self.disruptions += 1
            self._disrupt()

    def _set_suspend(self, suspended: bool) -> None:
        self.run["spec"]["suspend"] = suspended
        self.run["metadata"]["generation"] += 1
        self._touch(self.run)

    def _disrupt(self) -> None:
        uid = self.random.choice(list(self.pods))
        pod = self.pods[uid]
        kind = self.random.choice(("pod", "job", "evicted", "preempted", "lost"))
        if kind == "job":
            name = pod["metadata"]["labels"]["job-name"]
            if name in self.jobs:
                self._delete_job(name)
            return
        self._delete_pod(pod)
        reasons = {
            "evicted": "EvictionByEvictionAPI",
            "preempted": "PreemptionByScheduler",
            "lost": "DeletionByTaintManager",
        }
        if kind in reasons:
            target = {"type": "DisruptionTarget", "status": "True", "reason": reasons[kind]}
            pod["status"].setdefault("conditions", []).append(target)
        if kind == "lost" and self.stages[uid] != "ended":
            self.unreachable.add(uid)

    def collect_garbage(self) -> None:
        """Remove a pod whose node is gone for good."""
        for uid in sorted(self.unreachable):
            self._remove(uid, self.pods[uid])

    def disturb(self) -> None:
        """Do one random thing."""
        self.now += timedelta(seconds=self.random.choice((0, 0, 1, 2, 7)))
        acts = (
            self.deliver,
            self.deliver,
            self.kubelet,
            self.kubelet,
            self.report,
            self.do_effect,
            self.do_effect,
            self.reconcile,
            self.reconcile,
            self.reconcile,
            self.user_acts,
            self.killed,
            self.collect_garbage,
        )
        self.random.choice(acts)()

    def killed(self) -> None:
        """Kill the operator between two calls of a reconcile."""
        with suppress(Crashed):
            self.reconcile(crash_after=self.random.randrange(4))
        self.restart()

    def settle(self, rounds: int = 400) -> None:
        """Let everything come to rest without further disturbance."""
        self.fate.cancel = False
        self.fate.disruptions = self.fate.suspends = 0
        self.fate.storage_fails = min(self.fate.storage_fails, 3)
        if self.run["spec"].get("suspend"):
            self._set_suspend(False)
        for _ in range(rounds):
            self.collect_garbage()
            self.kubelet()
            self.deliver()
            self.report()
            plan = self.reconcile()
            while self.memory.effects:
                self.do_effect()
            self.now += timedelta(seconds=max(1.0, min(plan.requeue_after_seconds or 1.0, 300.0)))
            if plan.settled and plan.status is None and self.memory.run == self.run:
                return

    @property
    def stage(self) -> str:
        """Of the newest pod."""
        return next(reversed(self.stages.values()), "none")

    @stage.setter
    def stage(self, stage: str) -> None:
        self.stages[next(reversed(self.stages))] = stage

    @property
    def status(self) -> TrainingRunStatus:
        return TrainingRunStatus.model_validate(self.run.get("status") or {})


def check_numbers(before: TrainingRunStatus, after: TrainingRunStatus) -> None:
    """Hold that the numbers of attempts rise by one, and that the newest ten are kept."""
    numbers = [attempt.number for attempt in after.attempts]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
    assert len(numbers) <= 10
    if before.attempts:
        known = {attempt.number: attempt for attempt in before.attempts}
        assert numbers[-1] - before.attempts[-1].number in (0, 1)
        for attempt in after.attempts:
            old = known.get(attempt.number)
            assert old is None or old.end_time is None or old == attempt, "what has ended stays as it was"


def _container(name: str, state: Object) -> Object:
    return {
        "name": name,
        "image": "python-ml:1",
        "imageID": "docker.io/python-ml@sha256:" + "a" * 64,
        "state": state,
    }


def _text(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")
