"""MLflow's filter expressions, as far as they are understood."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_operator.cli.filters import FilterError, parse_field, parse_filter, parse_order
from tests.unit.cli.entries import entry


@pytest.mark.parametrize(
    "text",
    [
        "",
        "metrics.accuracy > 0.8",
        "metrics.accuracy >= 0.9 and metrics.accuracy <= 0.9",
        "metric.accuracy = 9e-1",
        'metrics."val/loss" < 0.3',
        "metrics.`val/loss` < 0.3 AND params.epochs = 3",
        "params.learning_rate = 0.1",
        "params.learning_rate = '0.1'",
        "params.fast = 'true'",
        "params.fast = true",
        "params.name = 'it''s'",
        "param.epochs != 4",
        "params.epochs in (2, 3)",
        "params.epochs not in ('4', '5')",
        "name like 'wi%' and name ilike 'WI__'",
        "attributes.name = 'wine' and phase = Succeeded",
        "status = 'Succeeded' and experiment = wine",
        "duration >= 60 and duration < 61",
        "start_time > '2026-03-01' and start_time < '2026-03-02'",
        "archived = false",
        "image like '%sha256:%'",
        "run.name=wine AND commit like 'ccc%'",
    ],
)
def test_matches(text: str) -> None:
    assert parse_filter(text).matches(entry())


@pytest.mark.parametrize(
    "text",
    [
        "metrics.accuracy > 0.9",
        "metrics.nothing != 1",
        "params.nothing not in (1)",
        "metrics.accuracy > 0.8 and params.epochs = 4",
        "params.learning_rate < 0.1",
        "name like 'WI%'",
        "name like 'win'",
        "archived = true",
        "objective > 0",
        "model = 'wine.1'",
    ],
)
def test_does_not_match(text: str) -> None:
    assert not parse_filter(text).matches(entry())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("metrics.accuracy >", "a value"),
        ("metrics.accuracy 0.9", "one of = !="),
        ("metrics. > 1", "a name after the dot"),
        ("accuracy > 0.9", "write metrics.accuracy or params.accuracy"),
        ("figures.accuracy > 0.9", "metrics.NAME, params.NAME"),
        ("phase = 'Failed' or phase = 'Cancelled'", "expected AND, found \"or phase = 'Cancelled'\""),
        ("phase in 'Failed'", r"( after IN"),
        ("phase in ('Failed'", ") or ,"),
        ("phase = 'Failed", "a value"),
        ("> 3", "a name such as"),
        ("phase =", "an example: metrics.accuracy > 0.9"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, words: str) -> None:
    with pytest.raises(FilterError) as said:
        parse_filter(text)
    assert words in str(said.value)


def test_the_fields_of_a_filter_are_known_for_the_columns() -> None:
    fields = parse_filter("metrics.accuracy > 0.1 and params.lr.x = 1 and phase = Failed").fields
    assert [field.title for field in fields] == ["metrics.accuracy", "params.lr.x", "phase"]
    assert parse_field("params.learning_rate").of(entry()) == 0.1
    with pytest.raises(FilterError):
        parse_field("params.learning_rate desc")


def test_order() -> None:
    runs = [
        entry("b", 1, metrics={"accuracy": 0.5}),
        entry("none", 2, metrics={}),
        entry("a", 3, metrics={"accuracy": 0.5}),
        entry("best", 4, metrics={"accuracy": 0.7}),
    ]
    best_first = parse_order(["metrics.accuracy DESC", "name"])(runs)
    assert [run.name for run in best_first] == ["best", "a", "b", "none"]
    assert [run.name for run in parse_order(["metrics.accuracy"])(runs)] == ["b", "a", "best", "none"]
    assert parse_order([])(runs) == runs
    with pytest.raises(FilterError, match="ASC or DESC"):
        parse_order(["name falling"])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet="ametrics.prs()=<>!'\"`, 0123456789inlkeAND_%", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_filter(text)
    except FilterError:
        return
    assert found.matches(entry()) in (True, False)
