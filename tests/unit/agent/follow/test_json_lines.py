"""Lines of metrics, whatever a training writes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_operator.agent.follow.json_lines import JsonLinesFollower as Follower
from mlops_operator.agent.follow.json_lines import parse_line, read_lines
from mlops_operator.agent.journal import Journal
from mlops_operator.agent.tracking import Tracking

_FIXTURE = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)


def make_tracking(folder: Path) -> Tracking:
    return Tracking(
        run_id="a" * 32, run_name="wine", folder=folder / "mlflow", journal=Journal(folder / "journal.jsonl")
    )


def test_every_number_but_step_is_a_metric() -> None:
    points = parse_line(b'{"step": 3, "loss": 0.5, "n": 2, "ok": true, "name": "x", "deep": {"a": 1}}', 0, 7)
    assert points is not None
    assert [(p.name, p.value, p.step, p.timestamp_ms) for p in points] == [
        ("loss", 0.5, 3, 7),
        ("n", 2.0, 3, 7),
    ]


@pytest.mark.parametrize("data", [b"", b"[1]", b"3", b"{", b"\xff\xfe", b'{"a": }', b"[" * 100_000])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    assert parse_line(data, 0, 0) is None


@pytest.mark.parametrize("step", ["x", None, True, math.nan, 1e300, [1]])
def test_an_unusable_step_is_the_number_of_the_line(step: object) -> None:
    points = parse_line(json.dumps({"step": step, "loss": 1}).encode(), 9, 0)
    assert points is not None
    assert [point.step for point in points] == [9]


def test_numbers_without_a_float_are_infinite() -> None:
    points = parse_line(b'{"a": 1' + b"0" * 400 + b', "b": NaN, "c": -Infinity}', 0, 0)
    assert points is not None
    assert points[0].value == math.inf
    assert math.isnan(points[1].value)
    assert points[2].value == -math.inf


@given(st.binary(max_size=300))
def test_no_line_is_an_error(data: bytes) -> None:
    parse_line(data, 0, 0)


@_FIXTURE
@given(
    lines=st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), max_size=8),
    cuts=st.lists(st.integers(0, 300), max_size=6),
)
def test_lines_are_the_same_however_the_file_grows(
    tmp_path: Path, lines: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(line + b"\n" for line in lines)
    path = tmp_path / "grows"
    offset, found = 0, []
    for cut in [*sorted(cuts), len(data)]:
        path.write_bytes(data[:cut])
        for line in read_lines(path, offset):
            found.append(line.data)
            offset = line.end
    assert found == lines


def test_a_huge_line_is_stepped_over(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b'{"a": 1}\n' + b"x" * 2_000_000 + b'\n{"a": 2}\n')
    assert [line.data for line in read_lines(path, 0)] == [b'{"a": 1}', None, b'{"a": 2}']


def test_the_last_line_needs_its_end_until_the_training_has_ended(tmp_path: Path) -> None:
    tracking = make_tracking(tmp_path)
    path = tmp_path / "metrics.jsonl"
    follower = Follower("metrics.jsonl", path, tracking)
    follower.poll()
    path.write_bytes(b'{"loss": 1}\n{"loss": 2')
    follower.poll()
    assert tracking.summaries["loss"].latest == 1
    path.write_bytes(b'{"loss": 1}\n{"loss": 2}')
    follower.poll()
    assert tracking.summaries["loss"].latest == 1
    follower.poll(final=True)
    assert (tracking.summaries["loss"].latest, tracking.summaries["loss"].step) == (2, 1)


def test_a_bad_line_is_told_and_left_out(tmp_path: Path) -> None:
    tracking = make_tracking(tmp_path)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'\xff\xfe\n{"loss": 1}\n\n')
    Follower("metrics.jsonl", path, tracking).poll()
    assert tracking.summaries["loss"].latest == 1
    assert len(tracking.warnings) == 1
    assert "metrics.jsonl: line 1" in next(iter(tracking.warnings))


def test_a_restarted_process_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"loss": 1, "step": 1}\n')
    Follower("m", path, make_tracking(tmp_path)).poll()
    path.write_bytes(b'{"loss": 1, "step": 1}\n{"loss": 2, "step": 2}\n')
    tracking = make_tracking(tmp_path)
    Follower("m", path, tracking).poll()
    assert [(point.value, point.step) for _, point in tracking.history()] == [(1, 1), (2, 2)]


def test_a_file_started_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    tracking = make_tracking(tmp_path)
    path = tmp_path / "metrics.jsonl"
    follower = Follower("m", path, tracking)
    path.write_bytes(b'{"loss": 1}\n{"loss": 2}\n')
    follower.poll()
    path.write_bytes(b'{"loss": 3}\n')
    follower.poll()
    assert tracking.summaries["loss"].latest == 3


def test_another_file_under_the_name_is_read_from_its_beginning(tmp_path: Path) -> None:
    tracking = make_tracking(tmp_path)
    path, other = tmp_path / "metrics.jsonl", tmp_path / "other"
    follower = Follower("m", path, tracking)
    path.write_bytes(b'{"loss": 1}\n')
    follower.poll()
    other.write_bytes(b'{"loss": 2}\n{"loss": 3}\n')
    other.replace(path)
    follower.poll()
    assert [point.value for _, point in tracking.history()] == [1, 2, 3]
