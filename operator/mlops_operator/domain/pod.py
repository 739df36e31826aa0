"""The pod of a run: stage-in, the agent as a native sidecar, and the user's container (design, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_operator.api.base import PROGRESS_AUDIENCE
from mlops_operator.api.checkpoints import ResolvedResume
from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.api.wire import (
    BIN_DIR,
    CODE_DIR,
    CREDENTIALS_DIR,
    DATASETS_DIR,
    GIT_CREDENTIALS_DIR,
    MLFLOW_CREDENTIALS_DIR,
    ORDER_VARIABLE,
    OUTPUT_DIR,
    RUN_DIR,
    TOKEN_FILE,
    ModelOrder,
    RemoteTracking,
    RunIdentity,
    SidecarOrder,
    StagedDataset,
    StageInOrder,
)
from mlops_operator.domain import (
    checkpoints,
    distributed,
    environment,
    masking,
    objective,
    requirements,
    resources,
    scheduling,
    volumes,
)
from mlops_operator.domain.effects import WorkspaceReady
from mlops_operator.domain.environment import HOME, experiment_name, literal
from mlops_operator.domain.plan import Object
from mlops_operator.settings import Settings

SECRET_MODE = 0o440
AGENT = ["python", "-m", "mlops_operator.agent"]


@dataclass(frozen=True)
class DatasetSecret:
    """A Secret that only stage-in mounts, to read a dataset that lies elsewhere."""

    secret: str
    path: str


def security_context(settings: Settings) -> Object:
    """Of a pod: level ``restricted``, one user for all containers so that they share files."""
    user = settings.run_as_user
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def confined(*, read_only: bool) -> Object:
    """Security context of a container."""
    context: Object = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {**context, "readOnlyRootFilesystem": True} if read_only else context


def mount(volume: str, path: str, *, read_only: bool = False, sub_path: str | None = None) -> Object:
    """Give a volume in a container."""
    entry: Object = {"name": volume, "mountPath": path}
    if read_only:
        entry["readOnly"] = True
    if sub_path:
        entry["subPath"] = sub_path
    return entry


def secret_volume(name: str, secret: str) -> Object:
    """Give a Secret as a volume: the kubelet brings a changed one into the running pod."""
    return {"name": name, "secret": {"secretName": secret, "defaultMode": SECRET_MODE}}


def agent_container(name: str, command: str, order: str, settings: Settings) -> Object:
    """Give what stage-in, sidecar and snapshot have in common."""
    container: Object = {
        "name": name,
        "image": settings.agent_image,
        "command": [*AGENT, command],
        "env": [
            literal(ORDER_VARIABLE, order),
            # Uploads run in threads: with an arena of its own each keeps 27 MiB of 128 after a large file.
            literal("MALLOC_ARENA_MAX", "2"),
            *([literal("MLOPS_CA_BUNDLE", settings.ca_bundle)] if settings.ca_bundle else []),
            *environment.of_platform(settings),
        ],
        "resources": resources.fixed(settings.agent_resources),
        "securityContext": confined(read_only=True),
        "terminationMessagePolicy": "File",
    }
    if settings.agent_image_pull_policy:
        container["imagePullPolicy"] = settings.agent_image_pull_policy
    return container


def identity(run: TrainingRun, attempt: int) -> RunIdentity:
    """Give the run, as its pod knows it."""
    return RunIdentity(
        name=run.metadata.name, namespace=run.metadata.namespace, uid=run.metadata.uid, attempt=attempt
    )


def stage_in_order(
    run: TrainingRun,
    attempt: int,
    workspace: WorkspaceReady,
    datasets: Sequence[StagedDataset],
    disk_limit_bytes: int | None,
) -> StageInOrder:
    """Build the order for stage-in; ``spec`` is for the record. Every attempt trains the commit of the first."""
    source = run.spec.source
    git = source.git if source is not None else None
    commit = run.status.resolved.commit if run.status.resolved is not None else None
    if git is not None and commit is not None:
        git = git.model_copy(update={"ref": commit})
    return StageInOrder(
        run=identity(run, attempt),
        bucket=workspace.bucket,
        git=git,
        inline_files=dict(source.inline.files) if source is not None and source.inline is not None else {},
        datasets=list(datasets),
        requirements=requirements.order(run.spec),
        disk_limit_bytes=disk_limit_bytes,
        parameters=run.spec.parameters,
        checkpoints=checkpoints.order(run, _resume_from(run)),
        spec=run.spec.to_object(),
    )


def _resume_from(run: TrainingRun) -> ResolvedResume | None:
    return run.status.resolved.resume_from if run.status.resolved is not None else None


def sidecar_order(
    run: TrainingRun, attempt: int, workspace: WorkspaceReady, settings: Settings
) -> SidecarOrder:
    """Order for the sidecar."""
    model = run.spec.outputs.model
    return SidecarOrder(
        run=identity(run, attempt),
        bucket=workspace.bucket,
        experiment=experiment_name(run),
        workers=run.spec.worker_count,
        working_dir=run.spec.working_dir or CODE_DIR,
        model=ModelOrder(name=model.name, path=model.path) if model is not None else None,
        artifacts=run.spec.outputs.artifacts,
        metric_sources=run.spec.metrics.sources,
        checkpoints=checkpoints.order(run, None),
        objective=objective.order(run),
        parameters=run.spec.parameters,
        remote=_remote(run),
        progress_url=settings.progress.url,
        progress_interval_seconds=settings.progress.interval_seconds,
        upload_seconds=settings.upload_seconds,
    )


def _remote(run: TrainingRun) -> RemoteTracking | None:
    mlflow = run.spec.tracking.mlflow
    if mlflow is None:
        return None
    experiment = mlflow.experiment or experiment_name(run)
    return RemoteTracking(uri=mlflow.uri, experiment=experiment, secret=mlflow_secret(run))


def mlflow_secret(run: TrainingRun) -> str | None:
    """Give the Secret for the remote MLflow server."""
    mlflow = run.spec.tracking.mlflow
    reference = mlflow.credentials_secret_ref if mlflow is not None else None
    return reference.name if reference is not None else None


def pod_spec(
    run: TrainingRun,
    attempt: int,
    *,
    workspace: WorkspaceReady,
    datasets: Sequence[StagedDataset],
    secrets: Sequence[DatasetSecret],
    settings: Settings,
) -> Object:
    """``spec`` of the pod."""
    spec = run.spec
    training = resources.of_training(spec, settings)
    train = _train(run, attempt, training, settings)
    disk = resources.whole(training["limits"].get("ephemeral-storage"))
    pod: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": settings.grace_period_seconds,
        "securityContext": security_context(settings),
        "initContainers": [
            _stage_in(run, stage_in_order(run, attempt, workspace, datasets, disk), secrets, settings),
            *requirements.containers(run, train, settings),
            _sidecar(run, sidecar_order(run, attempt, workspace, settings), workspace, settings),
        ],
        "containers": [train],
        "volumes": _volumes(run, workspace, secrets, training["limits"].get("memory")),
    }
    if selector := resources.node_selector(spec, settings):
        pod["nodeSelector"] = selector
    pod.update(scheduling.named(spec))
    if tolerated := resources.tolerations(spec, settings):
        pod["tolerations"] = [toleration.to_object() for toleration in tolerated]
    if spec.pod.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": reference.name} for reference in spec.pod.image_pull_secrets]
    if spec.pod.service_account_name:
        pod["serviceAccountName"] = spec.pod.service_account_name
    return pod


def _git_secret(run: TrainingRun) -> str | None:
    git = run.spec.source.git if run.spec.source is not None else None
    reference = git.credentials_secret_ref if git is not None else None
    return reference.name if reference is not None else None


def _stage_in(
    run: TrainingRun, order: StageInOrder, secrets: Sequence[DatasetSecret], settings: Settings
) -> Object:
    mounts = [
        mount("bin", BIN_DIR),
        mount("run", RUN_DIR),
        mount("code", CODE_DIR),
        mount("datasets", DATASETS_DIR),
        mount("output", OUTPUT_DIR),
        mount("agent-tmp", "/tmp"),  # noqa: S108 - a path in the container
        mount("credentials", CREDENTIALS_DIR, read_only=True),
        *requirements.mounts(run.spec),
    ]
    if _git_secret(run):
        mounts.append(mount("git-credentials", GIT_CREDENTIALS_DIR, read_only=True))
    mounts += [mount(f"dataset-{i}", s.path, read_only=True) for i, s in enumerate(secrets)]
    container = agent_container("stage-in", "stage-in", order.model_dump_json(by_alias=True), settings)
    return {
        **container,
        "env": [*container["env"], *distributed.index_variables(run)],
        "volumeMounts": mounts,
    }


def _sidecar(run: TrainingRun, order: SidecarOrder, workspace: WorkspaceReady, settings: Settings) -> Object:
    container = agent_container("agent", "sidecar", order.model_dump_json(by_alias=True), settings)
    variables = [
        *distributed.index_variables(run),
        {"name": "MLOPS_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        literal("MLOPS_PROGRESS_CA", workspace.progress_ca),
    ]
    return {
        **container,
        "restartPolicy": "Always",
        "env": [*container["env"], *variables],
        "volumeMounts": [
            mount("bin", BIN_DIR, read_only=True),
            mount("run", RUN_DIR),
            mount("code", CODE_DIR),
            mount("output", OUTPUT_DIR),
            mount("agent-tmp", "/tmp"),  # noqa: S108 - a path in the container
            mount("credentials", CREDENTIALS_DIR, read_only=True),
            mount("token", TOKEN_FILE.rsplit("/", 1)[0], read_only=True),
            *(
                [mount("mlflow-credentials", MLFLOW_CREDENTIALS_DIR, read_only=True)]
                if mlflow_secret(run)
                else []
            ),
            *requirements.mounts(run.spec),
        ],
    }


def _train(run: TrainingRun, attempt: int, asked: dict[str, dict[str, str]], settings: Settings) -> Object:
    spec = run.spec
    container: Object = {
        "name": "train",
        "image": spec.image,
        "command": [f"{BIN_DIR}/entrypoint", "--", *spec.command],
        "workingDir": spec.working_dir or CODE_DIR,
        "env": environment.of_training(run, attempt, settings),
        "resources": asked,
        "securityContext": confined(read_only=False),
        "volumeMounts": [
            mount("bin", BIN_DIR, read_only=True),
            mount("run", RUN_DIR),
            mount("code", CODE_DIR),
            mount("datasets", DATASETS_DIR),
            mount("output", OUTPUT_DIR),
            mount("home", HOME),
            mount("tmp", "/tmp"),  # noqa: S108 - a path in the container
            *volumes.mounts(spec),
            *requirements.mounts(spec, read_only=True),
            *(
                mount("datasets", ref.mount_path, sub_path=ref.name)
                for ref in spec.datasets
                if ref.mount_path
            ),
            *masking.mounts(spec),
        ],
    }
    if spec.args:
        container["args"] = list(spec.args)
    if spec.env_from:
        container["envFrom"] = [source.to_object() for source in spec.env_from]
    if policy := spec.pod.image_pull_policy or settings.image_pull_policy:
        container["imagePullPolicy"] = policy
    return container


def _volumes(
    run: TrainingRun, workspace: WorkspaceReady, secrets: Sequence[DatasetSecret], memory: str | None
) -> list[Object]:
    token = {"audience": PROGRESS_AUDIENCE, "expirationSeconds": 3600, "path": TOKEN_FILE.rsplit("/", 1)[1]}
    git, mlflow = _git_secret(run), mlflow_secret(run)
    return [
        *(
            {"name": name, "emptyDir": {}}
            for name in ("bin", "run", "code", "datasets", "output", "home", "tmp", "agent-tmp")
        ),
        *volumes.volumes(run.spec, memory),
        *requirements.pod_volumes(run.spec),
        {"name": "token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        secret_volume("credentials", workspace.secret),
        *([secret_volume("git-credentials", git)] if git else []),
        *([secret_volume("mlflow-credentials", mlflow)] if mlflow else []),
        *(secret_volume(f"dataset-{i}", s.secret) for i, s in enumerate(secrets)),
        *masking.volumes(run.spec),
    ]
