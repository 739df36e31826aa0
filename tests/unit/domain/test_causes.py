"""The table of reasons and causes holds every word that the code says, and each of its rows is produced for real."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from hack import cause_reference
from mlops_operator.api.wire import Cause
from mlops_operator.controller.effects import _CAUSES
from mlops_operator.domain.causes import ROWS, Kind, Row, known_cause, rows, side_of

ROOT = Path(__file__).resolve().parents[3]
DOMAIN = ROOT / "operator" / "mlops_operator" / "domain"
# What speaks of a run; datasets and models have words of their own.
OTHER_KINDS = ("dataset_plan.py", "model_plan.py", "publication.py", "registration.py")
# Which argument of a call is a reason or cause, and of what kind.
SAYS: dict[str, tuple[Kind, str]] = {
    "Waiting": ("Waiting", "reason"),
    "Refusal": ("NotAccepted", "reason"),
    "Ending": ("Ending", "cause"),
    "TerminationReport": ("Ending", "cause"),
}
# Words of outcomes that belong to datasets and models alone.
NOT_OF_RUNS = {
    "VersionTaken",
    "IntegrityError",
    "SourceNotFound",
    "DatasetChanged",
    "InternalError",
    "StorageFull",
}
# Rows that no test on a cluster produces yet. It must become empty: a row that nobody has seen is a guess.
UNSEEN: set[tuple[Kind, str]] = set()


def said(path: Path) -> Iterator[tuple[Kind, str, str]]:
    """Give every reason or cause that a module names: kind, word, place."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in SAYS:
            continue
        kind, keyword = SAYS[node.func.id]
        arguments = [*node.args[:1], *(k.value for k in node.keywords if k.arg == keyword)]
        for part in (constant for argument in arguments for constant in ast.walk(argument)):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield kind, part.value, f"{path.name}:{part.lineno}"


def test_the_domain_says_only_words_of_the_table() -> None:
    known = {(row.kind, row.name) for row in ROWS} | {("Ending", "Succeeded")}
    places = [path for path in DOMAIN.glob("*.py") if path.name not in OTHER_KINDS]
    found = [entry for path in places for entry in said(path)]
    assert len(found) > 20, "the search finds what the domain says"
    assert [entry for entry in found if entry[:2] not in known] == []


def test_every_failed_effect_has_a_word() -> None:
    names = {row.name for row in rows("Waiting")}
    assert {cause for _, cause, _ in _CAUSES} - names - NOT_OF_RUNS == set()


def test_the_endings_are_those_of_the_reports() -> None:
    assert {row.name for row in rows("Ending")} | {"Succeeded"} == set(get_args(Cause))


def test_each_row_stands_once_and_says_something() -> None:
    assert len({(row.kind, row.name) for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.means.endswith((".", ")")), row
        assert row.advice.endswith("."), row
        assert (row.side is not None) == (row.kind == "Ending"), row


@pytest.mark.parametrize("row", rows("Ending"), ids=lambda row: row.name)
def test_the_side_is_that_of_the_table(row: Row) -> None:
    assert side_of(known_cause(row.name)) == row.side


def test_an_unknown_cause_is_an_internal_error() -> None:
    assert known_cause("VersionTaken") == "InternalError"


def test_the_page_is_up_to_date() -> None:
    assert cause_reference.TARGET.read_text(encoding="utf-8") == cause_reference.page(), "run `make crds`"


# --- each row has a test on a real cluster ----------------------------------------------------------------------


def kinds_of(name: str) -> list[Kind]:
    return [row.kind for row in ROWS if row.name == name]


def marked() -> Iterator[tuple[str, str, Kind | None, str]]:
    """Give each word of a ``produces`` marker: test, word, kind, and what the test's body says."""
    for path in sorted((ROOT / "tests" / "e2e").rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                body = "\n".join(ast.unparse(statement) for statement in node.body)
                for call in node.decorator_list:
                    if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.produces":
                        kind = next(
                            (ast.literal_eval(k.value) for k in call.keywords if k.arg == "kind"), None
                        )
                        for argument in call.args:
                            yield f"{path.name}::{node.name}", ast.literal_eval(argument), kind, body


def test_markers_name_rows_and_their_tests_look_for_them() -> None:
    wrong = []
    for test, name, kind, body in marked():
        kinds = kinds_of(name)
        if not kinds or (kind is not None and kind not in kinds):
            wrong.append(f"{test}: {name} is no row of domain/causes.py")
        elif kind is None and len(kinds) > 1:
            wrong.append(
                f"{test}: {name} stands twice in domain/causes.py: add kind='Waiting' or kind='Ending'"
            )
        elif f"'{name}'" not in body:
            wrong.append(f"{test} never looks for {name}")
    assert wrong == []


def test_each_row_is_produced_on_a_cluster() -> None:
    seen = {(kind or kinds_of(name)[0], name) for _, name, kind, _ in marked() if kinds_of(name)}
    rows_without = {(row.kind, row.name) for row in ROWS} - seen
    assert rows_without == UNSEEN
