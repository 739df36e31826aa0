"""What only the operator can judge of a run's spec: is it known, allowed, and does it fit together."""

from __future__ import annotations

from posixpath import normpath

from mlops_operator.api.trainingrun import TrainingRunSpec
from mlops_operator.api.wire import CODE_DIR, OUTPUT_DIR
from mlops_operator.domain import admission, patterns
from mlops_operator.domain.admission import Refusal
from mlops_operator.domain.naming import parameter_variable
from mlops_operator.domain.resources import amount, exceeds
from mlops_operator.settings import Settings

# Linux takes no variable above 128 KiB. The order to stage-in is one: the spec, and inline files and parameters again.
MAX_ORDER_BYTES = 120 * 1024
ANEW = "A run cannot be changed: apply it corrected under a new name."


def refusal(spec: TrainingRunSpec, settings: Settings) -> Refusal | None:
    """Give the first thing that stands against a run; None: it is accepted."""
    found = (
        _profile(spec, settings)
        or _accelerator(spec, settings)
        or _resources(spec)
        or next(admission.refusals(spec, settings), None)
        or _parameters(spec)
        or _places(spec)
        or _patterns(spec)
        or _datasets(spec)
        or _size(spec)
    )
    return Refusal(found.reason, f"{found.message} {ANEW}") if found is not None else None


def _profile(spec: TrainingRunSpec, settings: Settings) -> Refusal | None:
    if spec.profile is None or spec.profile in settings.profiles:
        return None
    names = ", ".join(sorted(settings.profiles))
    known = f"there are: {names}." if names else "there is none here."
    return Refusal("UnknownProfile", f"spec.profile: there is no profile {spec.profile!r}; {known}")


def _accelerator(spec: TrainingRunSpec, settings: Settings) -> Refusal | None:
    if spec.accelerator is None or spec.accelerator.class_ in settings.accelerator_classes:
        return None
    names = ", ".join(sorted(settings.accelerator_classes))
    known = f"there are: {names}." if names else "there is none here."
    return Refusal(
        "UnknownAcceleratorClass",
        f"spec.accelerator.class: there is no class {spec.accelerator.class_!r}; {known}",
    )


def _resources(spec: TrainingRunSpec) -> Refusal | None:
    requests, limits = spec.resources.requests or {}, spec.resources.limits or {}
    for field, values in (("requests", requests), ("limits", limits)):
        for name, value in values.items():
            if amount(value) is None:
                return Refusal(
                    "BadQuantity",
                    f"spec.resources.{field}.{name}: {value!r} is not a quantity such as 500m, 2 or 4Gi.",
                )
    for name, value in requests.items():
        if name in limits and exceeds(value, limits[name]):
            return Refusal(
                "RequestAboveLimit",
                f"spec.resources: {name} asks for {value}, more than its limit of {limits[name]}.",
            )
    return None


def _parameters(spec: TrainingRunSpec) -> Refusal | None:
    seen: dict[str, str] = {}
    for name in spec.parameters:
        other = seen.setdefault(parameter_variable(name), name)
        if other != name:
            return Refusal(
                "ParameterNamesCollide",
                f"spec.parameters: {other!r} and {name!r} would both be the variable {parameter_variable(name)}.",
            )
    return None


def _places(spec: TrainingRunSpec) -> Refusal | None:
    directory = normpath(spec.working_dir or CODE_DIR)
    if any(directory == shared or directory.startswith(f"{shared}/") for shared in (CODE_DIR, OUTPUT_DIR)):
        return None
    model = spec.outputs.model
    named = [f"outputs.artifacts[{a.name}].path" for a in spec.outputs.artifacts]
    named += ["outputs.model.path"] if model is not None and model.path else []
    named += ["checkpoints.path"] if spec.checkpoints.path else []
    named += [f"metrics.sources[{i}].path" for i, source in enumerate(spec.metrics.sources) if source.path]
    if not named:
        return None
    return Refusal(
        "WorkingDirNotShared",
        f"spec.{named[0]} is below the working directory {directory}, whose files only the image sees. Write them to"
        f" $MLOPS_OUTPUT_DIR, or set spec.workingDir to a folder below {CODE_DIR}.",
    )


def _patterns(spec: TrainingRunSpec) -> Refusal | None:
    for index, source in enumerate(spec.metrics.sources):
        wrong = patterns.problem(source.pattern) if source.pattern else None
        if wrong is not None:
            return Refusal(
                "BadPattern",
                f"spec.metrics.sources[{index}].pattern: {source.pattern!r} cannot be used: {wrong}. It is a regular"
                " expression of RE2, such as (?P<name>\\w+)=(?P<value>\\S+).",
            )
    return None


def _datasets(spec: TrainingRunSpec) -> Refusal | None:
    names = [ref.name for ref in spec.datasets]
    twice = next((name for name in names if names.count(name) > 1), None)
    return Refusal("DatasetTwice", f"spec.datasets: {twice!r} is named more than once.") if twice else None


def _size(spec: TrainingRunSpec) -> Refusal | None:
    size = _bytes(spec.model_dump_json()) + _bytes(spec.model_dump_json(include={"source", "parameters"}))
    if size <= MAX_ORDER_BYTES:
        return None
    return Refusal(
        "SpecTooLarge",
        f"spec: {size} bytes (code and parameters count twice) are more than the {MAX_ORDER_BYTES} that fit into a pod."
        " Keep code in Git and long values in a ConfigMap.",
    )


def _bytes(text: str) -> int:
    return len(text.encode())
