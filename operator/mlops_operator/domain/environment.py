"""Variables of the containers of a pod."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import urlsplit

from mlops_operator.api.base import Scalar
from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.api.wire import (
    BIN_DIR,
    DATASETS_DIR,
    METRICS_FILE,
    MLFLOW_PORT,
    MODEL_DIR,
    OUTPUT_DIR,
    PACKAGES_DIR,
    PARAMS_FILE,
    RUN_DIR,
    RunIdentity,
    run_tags,
)
from mlops_operator.domain import checkpoints, conventions, distributed, masking
from mlops_operator.domain.naming import parameter_variable
from mlops_operator.settings import Settings

HOME = "/mlops/home"
CA_FILE = f"{BIN_DIR}/ca-bundle.crt"
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO")
Variable = dict[str, object]


def literal(name: str, value: str) -> Variable:
    """Give a variable with exactly this value: Kubernetes would otherwise replace $(…) and take one off each $$."""
    return {"name": name, "value": value.replace("$", "$$")}


def parameter_text(value: Scalar) -> str:
    """Give a parameter as a variable: text as it is, everything else as in JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def experiment_name(run: TrainingRun) -> str:
    """Give the experiment that the run is filed under."""
    return run.spec.experiment or run.metadata.namespace or "default"


def run_context(run: TrainingRun, attempt: int) -> str:
    """``MLFLOW_RUN_CONTEXT``."""
    metadata = run.metadata
    identity = RunIdentity(
        name=metadata.name, namespace=metadata.namespace, uid=metadata.uid, attempt=attempt
    )
    return json.dumps(run_tags(identity))


def proxies(settings: Settings, peers: Sequence[str] = ()) -> dict[str, str]:
    """Give the proxy of ``http`` and ``https``, and at ``no`` what goes past them, as `urllib.request.getproxies` does.

    The pod itself, its peers and the progress endpoint always go past them. Empty where there is no proxy.
    """
    proxy = settings.proxy
    found = {scheme: url for scheme, url in (("http", proxy.http), ("https", proxy.https)) if url}
    if not found:
        return {}
    own = ["localhost", "127.0.0.1", "::1", urlsplit(settings.progress.url).hostname or "", *peers]
    return {**found, "no": ",".join(dict.fromkeys(host for host in [*own, *proxy.no_proxy] if host))}


def of_platform(settings: Settings, peers: Sequence[str] = ()) -> list[Variable]:
    """Proxies and certificates: every container has them."""
    variables = []
    for scheme, value in proxies(settings, peers).items():
        name = f"{scheme.upper()}_PROXY"
        variables += [literal(name, value), literal(name.lower(), value)]
    if settings.ca_bundle:
        variables += [literal(name, CA_FILE) for name in CA_VARIABLES]
    return variables


def of_training(run: TrainingRun, attempt: int, settings: Settings) -> list[Variable]:
    """Of the training container; the user's own come last, so that they may refer to ours."""
    spec = run.spec
    own = {
        "HOME": HOME,
        "USER": "mlops",
        "LOGNAME": "mlops",
        "XDG_CACHE_HOME": f"{HOME}/.cache",
        "MPLCONFIGDIR": f"{HOME}/.config/matplotlib",
        "HF_HOME": f"{HOME}/.cache/huggingface",
        "TORCH_HOME": f"{HOME}/.cache/torch",
        "PYTHONUNBUFFERED": "1",
        "MLOPS_RUN_NAME": run.metadata.name,
        "MLOPS_ATTEMPT": str(attempt),
        "MLOPS_DATASETS_DIR": DATASETS_DIR,
        "MLOPS_OUTPUT_DIR": OUTPUT_DIR,
        "MLOPS_MODEL_DIR": MODEL_DIR,
        "MLOPS_CHECKPOINT_DIR": checkpoints.folder(spec),
        "MLOPS_METRICS_FILE": METRICS_FILE,
        "MLOPS_PARAMS_FILE": PARAMS_FILE,
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{MLFLOW_PORT}",
        "MLFLOW_EXPERIMENT_NAME": experiment_name(run),
        **({"MLFLOW_RUN_CONTEXT": run_context(run, attempt)} if spec.tracking.mlflow is not None else {}),
        "MLOPS_ENTRYPOINT_DIR": RUN_DIR,
        "MLOPS_ENTRYPOINT_DEADLINE_SECONDS": str(spec.deadline_seconds or 0),
        "MLOPS_ENTRYPOINT_GRACE_SECONDS": str(settings.grace_period_seconds),
        "MLOPS_ENTRYPOINT_UPLOAD_SECONDS": str(settings.upload_seconds),
        "MLOPS_ENTRYPOINT_ACK_SECONDS": str(distributed.acknowledge_seconds(run, settings)),
        **(
            {"MLOPS_ENTRYPOINT_PACKAGES_DIR": f"{PACKAGES_DIR}/venv"} if spec.requirements is not None else {}
        ),
        **({"MLOPS_SCRATCH_DIR": spec.pod.scratch.mount_path} if spec.pod.scratch is not None else {}),
        **_for_the_entrypoint(run, settings),
        **{parameter_variable(name): parameter_text(value) for name, value in spec.parameters.items()},
    }
    variables = [literal(name, value) for name, value in own.items()]
    variables += distributed.variables(run, attempt)
    variables += [
        distributed.with_own_index(literal(name, value))
        for name, value in conventions.variables(run, attempt, settings).items()
    ]
    peers = distributed.hosts(run, attempt)
    return [*variables, *of_platform(settings, peers), *(entry.to_object() for entry in spec.env)]


def _for_the_entrypoint(run: TrainingRun, settings: Settings) -> dict[str, str]:
    """Tell it what to mask, to look for and to measure, where there is anything."""
    patterns = [source.pattern for source in run.spec.metrics.sources if source.pattern]
    gpus = conventions.gpus(run, settings)
    return {
        **({"MLOPS_ENTRYPOINT_MASK": mask} if (mask := masking.order(run.spec)) else {}),
        **({"MLOPS_ENTRYPOINT_STDOUT_METRICS": json.dumps(patterns)} if patterns else {}),
        **({"MLOPS_ENTRYPOINT_GPUS": str(gpus)} if gpus else {}),
    }
