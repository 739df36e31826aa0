"""The objective: its best value, over attempts too, and when patience is over."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_operator.agent.objective import ObjectiveWatch
from mlops_operator.agent.tracking import PARENT_TAG, Point
from mlops_operator.api.wire import ObjectiveOrder
from tests.unit.agent.follow.test_json_lines import make_tracking


def watch(folder: Path, values: list[float], **order: Any) -> ObjectiveWatch:
    tracking = make_tracking(folder)
    found = ObjectiveWatch(ObjectiveOrder(**{"name": "loss", "goal": "Minimize", **order}), tracking)
    for step, value in enumerate(values, start=1):
        tracking.log(tracking.run_id, [Point("loss", value, step, step), Point("other", 0.0, step, step)])
        found.poll()
    return found


@pytest.mark.parametrize(("goal", "best", "step"), [("Minimize", 0.2, 3), ("Maximize", 0.9, 1)])
def test_the_best_value_and_its_step(tmp_path: Path, goal: str, best: float, step: int) -> None:
    found = watch(tmp_path, [0.9, math.nan, 0.2, math.inf, -math.inf, 0.2], goal=goal)
    assert (found.best, found.step) == (best, step)
    assert found.value_at(3) == 0.2
    assert found.value_at(None) is None


def test_patience_counts_values_that_are_no_better(tmp_path: Path) -> None:
    assert not watch(tmp_path / "a", [1.0, 0.5, 0.6, 0.4, 0.5, 0.5], patience=3).exhausted
    found = watch(tmp_path / "b", [1.0, 0.5, 0.6, math.nan, 0.5], patience=3)
    assert found.exhausted
    assert found.sentence == "loss was no better for 3 values in a row; the best is 0.5 at step 2"


def test_a_value_must_be_better_by_min_delta(tmp_path: Path) -> None:
    found = watch(tmp_path, [1.0, 0.99, 0.98, 0.97], patience=3, min_delta=0.1)
    assert found.exhausted
    assert found.best == 0.97, "the best is the best, however little better"


def test_the_best_of_earlier_attempts_counts(tmp_path: Path) -> None:
    found = watch(tmp_path, [0.5, 0.4], best=0.3, step=7, checkpoint="s3://b/c/", patience=2)
    assert (found.best, found.step, found.exhausted) == (0.3, 7, True)
    assert (found.carried("s3://b/c/"), found.carried("s3://b/d/")) == (0.3, None)
    assert found.status().checkpoint == "s3://b/c/"
    assert found.status("s3://b/e/").checkpoint == "s3://b/e/"


def test_nested_runs_do_not_count(tmp_path: Path) -> None:
    tracking = make_tracking(tmp_path)
    child = tracking.create_run("child", {PARENT_TAG: tracking.run_id}, 1, "u")
    found = ObjectiveWatch(ObjectiveOrder(name="loss", goal="Minimize"), tracking)
    tracking.log(child.run_id, [Point("loss", 0.1, 1, 1)])
    tracking.log(tracking.run_id, [Point("loss", 0.4, 1, 1)])
    found.poll()
    assert found.best == 0.4


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(values=st.lists(st.floats(), max_size=20), polls=st.sets(st.integers(0, 20)))
def test_a_restarted_sidecar_comes_to_the_same_state(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], polls: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("watch")
    order = ObjectiveOrder(name="loss", goal="Maximize", patience=3)
    tracking = make_tracking(folder)
    first = ObjectiveWatch(order, tracking)
    for step, value in enumerate(values):
        tracking.log(tracking.run_id, [Point("loss", value, step, step)])
        if step in polls:
            first.poll()
    first.poll()
    again = ObjectiveWatch(order, make_tracking(folder))
    again.poll()
    assert (again.best, again.step, again.stale) == (first.best, first.step, first.stale)
    assert first.best == max(filter(math.isfinite, values), default=None)
