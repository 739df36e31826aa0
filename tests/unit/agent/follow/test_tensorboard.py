"""Event files as tensorboardX writes them, whole and in pieces."""

from __future__ import annotations

import math
import struct
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorboardX import SummaryWriter
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.proto.tensor_pb2 import TensorProto

from mlops_operator.agent.follow.event_file import NotAnEventFileError, Record, read_records
from mlops_operator.agent.follow.tensorboard import TensorBoardFollower
from mlops_operator.agent.journal import Journal
from mlops_operator.agent.tracking import Tracking


def make_tracking(folder: Path) -> Tracking:
    return Tracking(
        run_id="a" * 32, run_name="wine", folder=folder / "mlflow", journal=Journal(folder / "journal.jsonl")
    )


def new_style(tag: str, tensor: TensorProto, *, first: bool) -> Summary:
    """Give a scalar as TensorFlow 2 and PyTorch's ``new_style`` write it: what it is, is said only at first."""
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
    return Summary(value=[Summary.Value(tag=tag, tensor=tensor, metadata=metadata if first else None)])


def write(folder: Path, steps: range = range(3), *, new: bool = False) -> Path:
    """Write scalars, an image, a histogram and a text; gives the event file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with SummaryWriter(str(folder)) as writer:
            for step in steps:
                for name, value in (("loss", 0.5 + step), ("bad", math.nan)):
                    if new:
                        tensor = TensorProto(dtype=1, float_val=[value])
                        summary = new_style(name, tensor, first=step == 0)
                        writer.file_writer.add_summary(summary, step, walltime=100.0 + step)
                    else:
                        writer.add_scalar(name, value, step, walltime=100.0 + step)
            writer.add_image("image", np.zeros((3, 8, 8), dtype=np.uint8), 1)
            writer.add_histogram("weights", np.arange(100), 1)
            writer.add_text("note", "hello", 1)
            writer.add_scalar("end", -1.0, 7)
    (path,) = folder.glob("*tfevents*")
    return path


def records(path: Path, offset: int = 0) -> list[Record]:
    return list(read_records(path, offset, {}))


@pytest.mark.parametrize("new", [False, True])
def test_scalars_and_nothing_else(tmp_path: Path, *, new: bool) -> None:
    path = write(tmp_path, new=new)
    found = [scalar for record in records(path) for scalar in record.scalars]
    losses = [(s.value, s.step, s.wall_time) for s in found if s.tag == "loss"]
    assert losses == [(0.5, 0, 100.0), (1.5, 1, 101.0), (2.5, 2, 102.0)]
    assert [math.isnan(s.value) for s in found if s.tag == "bad"] == [True] * 3
    assert [(s.value, s.step) for s in found if s.tag == "end"] == [(-1.0, 7)]
    assert {s.tag for s in found} == {"loss", "bad", "end"}
    assert records(path)[-1].end == path.stat().st_size


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        (TensorProto(dtype=1, tensor_content=struct.pack("<f", 0.25)), 0.25),
        (TensorProto(dtype=2, tensor_content=struct.pack("<d", 0.1)), 0.1),
        (TensorProto(dtype=2, double_val=[0.1]), 0.1),
        (TensorProto(dtype=3, int_val=[-3]), -3.0),
        (TensorProto(dtype=9, int64_val=[2**40]), 2.0**40),
        (TensorProto(dtype=9, tensor_content=struct.pack("<q", -5)), -5.0),
        (TensorProto(dtype=1, float_val=[1.0, 2.0]), None),
        (TensorProto(dtype=7, string_val=[b"text"]), None),
    ],
)
def test_tensors(tmp_path: Path, tensor: TensorProto, value: float | None) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        writer.file_writer.add_summary(new_style("x", tensor, first=True), 4)
    found = [(s.value, s.step) for record in records(next(tmp_path.iterdir())) for s in record.scalars]
    assert found == ([] if value is None else [(value, 4)])


def test_a_record_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    path = write(tmp_path)
    whole, data = records(path), path.read_bytes()
    ends = [record.end for record in whole]
    for size in range(0, len(data), 7):
        path.write_bytes(data[:size])
        assert [record.end for record in records(path)] == [end for end in ends if end <= size]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_other_files_are_told_apart(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.tfevents"
    path.write_bytes(data)
    with suppress(NotAnEventFileError):
        records(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(place=st.integers(0, 2000), byte=st.integers(0, 255))
def test_a_broken_byte_is_no_other_error(tmp_path: Path, place: int, byte: int) -> None:
    path = next((tmp_path / "run").glob("*tfevents*"), None) or write(tmp_path / "run")
    data = bytearray(path.read_bytes())
    data[place % len(data)] = byte
    broken = tmp_path / "broken.tfevents"
    broken.write_bytes(data)
    with suppress(NotAnEventFileError):
        records(broken)


def test_folders_give_names_and_appear_later(tmp_path: Path) -> None:
    tracking = make_tracking(tmp_path)
    follower = TensorBoardFollower([str(tmp_path / "runs" / "v*")], tracking)
    follower.poll()
    write(tmp_path / "runs" / "v1")
    write(tmp_path / "runs" / "v1" / "validation")
    write(tmp_path / "runs" / "other")
    follower.poll(final=True)
    assert set(tracking.summaries) == {
        "loss", "bad", "end", "validation/loss", "validation/bad", "validation/end",
    }  # fmt: skip
    assert (tracking.summaries["loss"].latest, tracking.summaries["bad"].non_finite) == (2.5, 3)
    assert tracking.summaries["loss"].updated_ms == 102_000
    assert tracking.warnings == {}


def test_a_restarted_process_goes_on_where_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "runs", range(5), new=True)
    data = path.read_bytes()
    half = records(path)[6].end
    path.write_bytes(data[: half + 3])
    TensorBoardFollower([str(tmp_path / "runs")], make_tracking(tmp_path)).poll()
    path.write_bytes(data)
    tracking = make_tracking(tmp_path)
    TensorBoardFollower([str(tmp_path / "runs")], tracking).poll()
    losses = [(point.step, point.value) for _, point in tracking.history() if point.name == "loss"]
    assert losses == [(step, 0.5 + step) for step in range(5)]


def test_what_was_cut_and_what_is_none_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "runs")
    path.write_bytes(path.read_bytes()[:-5])
    (tmp_path / "runs" / "other.tfevents").write_bytes(b"no event file, but long enough to look at")
    tracking = make_tracking(tmp_path)
    follower = TensorBoardFollower([str(tmp_path / "runs")], tracking)
    follower.poll(final=True)
    follower.poll(final=True)
    said = list(tracking.warnings)
    assert len(said) == 2
    assert any("not written whole" in text for text in said)
    assert any("other.tfevents is not followed" in text for text in said)
