"""What is said of a pattern before it is used."""

from __future__ import annotations

import pytest

from mlops_operator.domain.patterns import problem


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?P<name>\w+)=(?P<value>\S+)",
        r"epoch (?P<step>\d+)|(?P<name>loss|acc): (?P<value>\S+)",
        r"loss=(?P<loss>\S+)",
        r"^(?P<step>\d+),(?P<loss>[^,]+),(?P<accuracy>[^,]+)$",
    ],
)
def test_usable(pattern: str) -> None:
    assert problem(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("loss=(", "missing )"),
        ("(?=loss)(?P<loss>x)", "invalid perl operator"),
        (r"(?P<loss>a)\1", "invalid escape"),
        ("(?P<loss>a){2000}", "invalid repetition size"),
        ("loss=(.*)", "no group"),
        (r"step (?P<step>\d+)", "no group"),
        (r"(?P<name>\w+)", "both name and value"),
    ],
)
def test_unusable(pattern: str, said: str) -> None:
    found = problem(pattern)
    assert found is not None
    assert said in found
