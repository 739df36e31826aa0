from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from bench.report import Aim, Line, Result, load_average, show, this_machine, write


def result(*lines: Line) -> Result:
    return Result("burst", "A burst", lines, this_machine(load_average()), {"rounds": [1.5]})


def test_an_aim_is_a_limit_from_one_side() -> None:
    assert Aim(3.0).met(3.0)
    assert not Aim(3.0).met(3.1)
    assert Aim(0.25, at_least=True).met(0.25)
    assert not Aim(0.25, at_least=True).met(0.24)


def test_a_result_is_met_if_no_aim_is_missed() -> None:
    free, good, bad = Line("a", 9), Line("b", 1, aim=Aim(2)), Line("c", 3, aim=Aim(2))
    assert result(free, good).met
    assert not result(free, good, bad).met


def test_json_keeps_everything(tmp_path: Path) -> None:
    path = write(result(Line("p99", 4.0, " s", aim=Aim(3))), tmp_path / "bench")
    content = json.loads(path.read_text())
    assert path.name == "burst.json"
    assert content["met"] is False
    assert content["lines"][0]["value"] == 4.0
    assert content["details"] == {"rounds": [1.5]}
    assert content["machine"]["processors"] > 0


def test_the_table_says_what_was_missed_and_under_what_load() -> None:
    console = Console(width=120)
    with console.capture() as captured:
        show([result(Line("p99", 4.0, " s", aim=Aim(3)), Line("p50", 1.0, " s"))], console)
    text = captured.get()
    assert "missed" in text
    assert "≤ 3 s" in text
    assert "load average" in text
