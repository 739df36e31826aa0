"""How the demo closes: the table, the item, the curve, where everything lies, and how to go on."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from hack.cluster.errors import ClusterError
from hack.cluster.places import HERE
from hack.demo.curves import draw_in_terminal, read_curves, save_png
from hack.demo.scenes import GPU_RUN, WORKSPACE, Demo, ensure_ended
from hack.stac import validate_item

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MODEL = "landcover-classifier"


def show_results(demo: Demo, console: Console) -> None:
    """Show all of it.

    Raises
    ------
    ClusterError
        If there is nothing to show.
    """
    names = ["wine", "landcover", *([GPU_RUN] if demo.gpu_can_be_added else [])]
    ensure_ended(demo, names)
    credentials = demo.credentials()
    if credentials is None:
        return
    s3 = demo.s3.client(credentials)
    _table(demo, console)
    _item(demo, s3, console)
    _curves(demo, s3, names[:2], console)
    _bucket(s3, console)
    _go_on(demo, console)


def save_picture(demo: Demo, path: Path) -> None:
    """Write the picture of the README: the table and a curve, as a terminal shows them."""
    console = Console(record=True, width=150, file=io.StringIO(), force_terminal=True)
    credentials = demo.credentials()
    if credentials is None:
        raise ClusterError("There is nothing to show: play the demo first, `make demo`.")
    _table(demo, console)
    _curves(demo, demo.s3.client(credentials), ["landcover"], console)
    console.save_svg(str(path), title="make demo")


def _table(demo: Demo, console: Console) -> None:
    console.rule("[bold]kubectl get tds,trun,mv")
    said = demo.kubectl.run("get", "tds,trun,mv", f"--namespace={WORKSPACE}")
    console.print(said, highlight=False, soft_wrap=True)


def _item(demo: Demo, s3: S3Client, console: Console) -> None:
    versions = demo.kubectl.list("modelversion", WORKSPACE)
    version = next(v for v in versions if v["spec"]["model"] == MODEL)
    key = version["status"]["item"]
    item: dict[str, Any] = json.loads(s3.get_object(Bucket=WORKSPACE, Key=key)["Body"].read())
    console.rule(f"[bold]the STAC item of {version['metadata']['name']}: s3://{WORKSPACE}/{key}")
    console.print_json(data=item)
    schemas = validate_item(item)
    console.print(f"[green]valid[/] against {len(schemas)} schemas: {', '.join(schemas)}")


def _curves(demo: Demo, s3: S3Client, names: list[str], console: Console) -> None:
    console.rule("[bold]metrics")
    curves = {}
    for name in names:
        run = demo.run(name) or {}
        prefix = run["status"]["storage"]["uri"].split("/", 3)[3]
        body = s3.get_object(Bucket=WORKSPACE, Key=f"{prefix}attempts/1/metrics.jsonl")["Body"].read()
        curves[name] = {n: c for n, c in read_curves(body).items() if len(c) > 1}
        loss = {n: c for n, c in curves[name].items() if "loss" in n} or curves[name]
        console.print(Text(draw_in_terminal(loss, name)), no_wrap=True, overflow="ignore", crop=False)
    picture = HERE.state / "demo" / "curves.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    save_png(curves, picture)
    console.print(f"As a picture: {os.path.relpath(picture)}", highlight=False)


def _bucket(s3: S3Client, console: Console) -> None:
    console.rule("[bold]where everything lies")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=WORKSPACE)
    sizes: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for page in pages:
        for found in page.get("Contents", []):
            place = "/".join(found["Key"].split("/")[:3])
            sizes[place] += found["Size"]
            files[place] += 1
    for place in sorted(sizes):
        console.print(
            f"s3://{WORKSPACE}/{place}  {files[place]} files, {sizes[place] / 1e6:.2f} MB", highlight=False
        )


def _go_on(demo: Demo, console: Console) -> None:
    console.rule("[bold]go on")
    lines = [
        "export KUBECONFIG=$PWD/.state/kubeconfig PATH=$PWD/.state/bin:$PWD/.state/venv/bin:$PATH",
        f"kubectl -n {WORKSPACE} wait trun/wine --for=condition=Complete --timeout=5m   # wait for a run",
        f"kubectl -n {WORKSPACE} get trun wine -o yaml                                  # everything about it",
        "kubectl explain trun.spec.outputs.model                                    # what a manifest can say",
        'eval "$(python -m hack.services credentials ws-alice)"                        # the bucket, for any S3 client',
        "python manifests/samples/predict.py --bucket ws-alice list                    # the models in the catalogue",
        f"python manifests/samples/predict.py --bucket ws-alice predict {MODEL} --values 60,55,40,70,55,30",
    ]
    if demo.kubectl.kubeconfig != HERE.kubeconfig:
        lines[0] = f"export KUBECONFIG={demo.kubectl.kubeconfig}"
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
