"""Options that every command has: where the runs are."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

from mlops_operator.cli.bucket import SECRET, bucket_name, from_environment, from_workspace, open_bucket
from mlops_operator.cli.cluster import Cluster
from mlops_operator.cli.runs import Place
from mlops_operator.storage.client import Bucket

_PANEL = "Where the runs are"


def _options(
    *,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", "-n", help="The workspace; default: the context's.", rich_help_panel=_PANEL
        ),
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="Context of the kubeconfig.", rich_help_panel=_PANEL)
    ] = None,
    kubeconfig: Annotated[
        str | None, typer.Option(help="The kubeconfig; default: kubectl's.", rich_help_panel=_PANEL)
    ] = None,
    bucket: Annotated[
        str | None,
        typer.Option(
            help="s3://NAME: read this bucket alone, without a cluster, with AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="Address of the S3 server as it is reached from here; default: the Secret's, or AWS_ENDPOINT_URL.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    secret: Annotated[
        str, typer.Option(help="Secret with the bucket's keys.", rich_help_panel=_PANEL)
    ] = SECRET,
) -> Place:
    """Make the place; nothing is dialled yet."""
    if bucket is not None:
        name = bucket_name(bucket)
        return Place(None, lambda: open_bucket(from_environment(name, endpoint)), warn)
    cluster = Cluster(namespace, context, kubeconfig)

    def open_() -> Bucket:
        return open_bucket(from_workspace(cluster, secret, endpoint))

    return Place(cluster, open_, warn)


def placed(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options above in place of its first parameter, a Place."""
    own = inspect.signature(command, eval_str=True)
    common = inspect.signature(_options, eval_str=True)
    (_, *rest) = own.parameters.values()
    added = list(common.parameters.values())
    kept = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in rest]

    @functools.wraps(command)
    def wrapped(**values: Any) -> None:
        place = _options(**{name: values.pop(name) for name in common.parameters})
        command(place, **values)

    hints = get_type_hints(command, include_extras=True) | get_type_hints(_options, include_extras=True)
    names = [p.name for p in (*kept, *added)]
    vars(wrapped)["__signature__"] = own.replace(parameters=[*kept, *added])
    wrapped.__annotations__ = {name: hints[name] for name in names}
    return wrapped


def warn(text: str) -> None:
    """Say what is missing, where the rest is of use."""
    sys.stderr.write(f"note: {text}\n")
