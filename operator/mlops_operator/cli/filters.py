"""MLflow's filter expressions over runs, as far as they make sense here: comparisons, joined by AND.

::

    metrics.accuracy > 0.9 and params.learning_rate = 0.1
    phase = 'Failed' and reason IN ('OOMKilled', 'Evicted')
    metrics."val/loss" < 0.2 and attributes.name LIKE 'wine-%'

MLflow's own parser comes only with all of mlflow, so this is one of ours, for the subset above.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mlops_operator.api.history import RunEntry
from mlops_operator.cli.errors import CliError

Predicate = Callable[[RunEntry], bool]

_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"[^"]*"|`[^`]*`)
    | (?P<operator><=|>=|!=|<>|==|=|<|>)
    | (?P<mark>[(),.])
    | (?P<word>[^\s'"`<>=!(),.]+(?:\.\d[^\s'"`<>=!(),]*)?)
    )""",
    re.VERBOSE,
)
_NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_GROUPS: Final = {
    "metrics": "metrics", "metric": "metrics",
    "params": "parameters", "param": "parameters", "parameters": "parameters", "parameter": "parameters",
    "attributes": "", "attribute": "", "attr": "", "run": "",
}  # fmt: skip
# Name in an expression, without case and underscores → what it is of an entry. MLflow's names are among them.
ATTRIBUTES: Final[dict[str, Callable[[RunEntry], Any]]] = {
    "name": lambda e: e.name,
    "runname": lambda e: e.name,
    "displayname": lambda e: e.display_name,
    "uid": lambda e: e.uid,
    "runid": lambda e: e.uid,
    "experiment": lambda e: e.experiment,
    "phase": lambda e: e.phase,
    "status": lambda e: e.phase,
    "reason": lambda e: e.reason,
    "cause": lambda e: e.reason,
    "model": lambda e: e.model,
    "image": lambda e: e.image,
    "commit": lambda e: e.commit,
    "archived": lambda e: e.archived,
    "rerunof": lambda e: e.rerun_of.name if e.rerun_of else None,
    "objective": lambda e: e.objective.best if e.objective else None,
    "created": lambda e: _time(e.created_at),
    "createdat": lambda e: _time(e.created_at),
    "starttime": lambda e: _time(e.start_time),
    "endtime": lambda e: _time(e.completion_time),
    "completiontime": lambda e: _time(e.completion_time),
    "duration": lambda e: duration_seconds(e),  # noqa: PLW0108 - defined below
}


class FilterError(CliError):
    """An expression cannot be read; the message says where and gives an example."""


@dataclass(frozen=True)
class Field:
    """What an expression speaks of: a metric, a parameter or an attribute."""

    group: str  # metrics, parameters, or nothing
    name: str

    def of(self, entry: RunEntry) -> Any:
        """Give the value; None where the run has none."""
        if self.group == "metrics":
            return entry.metrics.get(self.name)
        if self.group == "parameters":
            return entry.parameters.get(self.name)
        return ATTRIBUTES[self.name](entry)

    @property
    def title(self) -> str:
        return (
            f"{'params' if self.group == 'parameters' else self.group}.{self.name}"
            if self.group
            else self.name
        )


@dataclass(frozen=True)
class Filter:
    """A predicate, and the fields that it reads, for the columns of a table."""

    matches: Predicate
    fields: tuple[Field, ...] = ()


def parse_filter(text: str) -> Filter:
    """Read an expression; an empty one matches every run.

    Raises
    ------
    FilterError
        It cannot be read.
    """
    if not text.strip():
        return Filter(lambda _: True)
    reader = _Reader(text)
    tests: list[Predicate] = []
    fields: list[Field] = []
    while True:
        field = reader.field()
        tests.append(reader.comparison(field))
        fields.append(field)
        if reader.at_end():
            return Filter(lambda entry: all(test(entry) for test in tests), tuple(dict.fromkeys(fields)))
        reader.keyword("AND")


def parse_field(text: str) -> Field:
    """Read a name such as ``metrics.accuracy``. Raises FilterError."""
    reader = _Reader(text)
    field = reader.field()
    if not reader.at_end():
        raise reader.error("the end of the name")
    return field


def parse_order(texts: Sequence[str]) -> Callable[[list[RunEntry]], list[RunEntry]]:
    """Read ``metrics.accuracy DESC`` and the like, the first counting most. Runs without a value come last."""
    orders: list[tuple[Field, bool]] = []
    for text in texts:
        reader = _Reader(text)
        field = reader.field()
        falling = False
        if not reader.at_end():
            falling = reader.keyword("ASC", "DESC") == "DESC"
        if not reader.at_end():
            raise reader.error("the end, after ASC or DESC")
        orders.append((field, falling))

    def sort(entries: list[RunEntry]) -> list[RunEntry]:
        for field, falling in reversed(orders):
            having = [entry for entry in entries if field.of(entry) is not None]
            having.sort(key=lambda entry: _sort_key(field.of(entry)), reverse=falling)
            entries = having + [entry for entry in entries if field.of(entry) is None]
        return entries

    return sort


def duration_seconds(entry: RunEntry) -> float | None:
    """From the start of the training to the run's end."""
    if entry.start_time is None or entry.completion_time is None:
        return None
    return (entry.completion_time - entry.start_time).total_seconds()


class _Reader:
    """Reads an expression from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    def error(self, wanted: str) -> FilterError:
        rest = self._text[self._place :].strip()
        return FilterError(
            f"expected {wanted}, found {rest[:30]!r} at position {self._place} of {self._text!r}; an example:"
            " metrics.accuracy > 0.9 and params.learning_rate = 0.1"
        )

    def at_end(self) -> bool:
        return not self._text[self._place :].strip()

    def field(self) -> Field:
        kind, word = self._next("a name such as metrics.accuracy")
        if kind not in ("word", "quoted"):
            raise self.error("a name such as metrics.accuracy")
        if not self._follows("."):
            return self._attribute(word)
        group = _GROUPS.get(word.lower())
        if group is None:
            raise FilterError(f"{word}. is not known: write metrics.NAME, params.NAME or attributes.NAME")
        name = self._part()
        while self._follows("."):
            name += "." + self._part()
        return Field(group, name) if group else self._attribute(name)

    def _part(self) -> str:
        kind, word = self._next("a name after the dot")
        if kind not in ("word", "quoted"):
            raise self.error("a name after the dot")
        return word

    @staticmethod
    def _attribute(word: str) -> Field:
        name = word.lower().replace("_", "")
        if name not in ATTRIBUTES:
            raise FilterError(
                f"runs have no {word!r}: write metrics.{word} or params.{word}, or one of"
                f" {', '.join(sorted(ATTRIBUTES))}"
            )
        return Field("", name)

    def comparison(self, field: Field) -> Predicate:
        if self._peek_word() in ("LIKE", "ILIKE"):
            ignore_case = self.keyword("LIKE", "ILIKE") == "ILIKE"
            return _like(field, str(self._value()), ignore_case=ignore_case)
        negated = self._peek_word() == "NOT"
        if negated:
            self.keyword("NOT")
        if negated or self._peek_word() == "IN":
            self.keyword("IN")
            return _within(field, self._values(), negated=negated)
        kind, operator = self._next("one of = != < <= > >= LIKE ILIKE IN")
        if kind != "operator":
            raise self.error("one of = != < <= > >= LIKE ILIKE IN")
        value = self._value()
        return lambda entry: _compare(field.of(entry), operator, value)

    def keyword(self, *words: str) -> str:
        found = self._peek_word()
        if found not in words:
            raise self.error(" or ".join(words))
        self._next("")
        return found

    def _value(self) -> str | float:
        kind, word = self._next("a value")
        if kind not in ("text", "quoted", "word"):
            raise self.error("a value")
        return float(word) if kind == "word" and _NUMBER.fullmatch(word) else word

    def _values(self) -> list[str | float]:
        if not self._follows("("):
            raise self.error("( after IN")
        values = [self._value()]
        while self._follows(","):
            values.append(self._value())
        if not self._follows(")"):
            raise self.error(") or ,")
        return values

    def _peek_word(self) -> str:
        found = _TOKEN.match(self._text, self._place)
        return (found["word"] or "").upper() if found else ""

    def _follows(self, mark: str) -> bool:
        found = _TOKEN.match(self._text, self._place)
        if found is None or found["mark"] != mark:
            return False
        self._place = found.end()
        return True

    def _next(self, wanted: str) -> tuple[str, str]:
        found = _TOKEN.match(self._text, self._place)
        if found is None or self.at_end():
            raise self.error(wanted)
        self._place = found.end()
        kind = found.lastgroup or ""
        word = found[kind]
        if kind == "text":
            word = word[1:-1].replace("''", "'")
        elif kind == "quoted":
            word = word[1:-1]
        return kind, word


def _compare(found: Any, operator: str, value: str | float) -> bool:
    """Compare as numbers where both are; a run without the value never matches."""
    if found is None:
        return False
    left, right = _number(found), _number(value)
    if left is None or right is None:
        left, right = _text(found), _text(value)  # type: ignore[assignment]
    if operator in ("=", "=="):
        return left == right
    if operator in ("!=", "<>"):
        return left != right
    if operator[0] == "<":
        return left < right or (operator == "<=" and left == right)  # type: ignore[operator]
    return left > right or (operator == ">=" and left == right)  # type: ignore[operator]


def _like(field: Field, pattern: str, *, ignore_case: bool) -> Predicate:
    expression = re.compile(
        "".join({"%": ".*", "_": "."}.get(sign, re.escape(sign)) for sign in pattern),
        re.DOTALL | (re.IGNORECASE if ignore_case else 0),
    )
    return lambda entry: field.of(entry) is not None and bool(expression.fullmatch(_text(field.of(entry))))


def _within(field: Field, values: list[str | float], *, negated: bool) -> Predicate:
    def test(entry: RunEntry) -> bool:
        found = field.of(entry)
        return found is not None and any(_compare(found, "=", value) for value in values) != negated

    return test


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _sort_key(value: Any) -> tuple[int, float, str]:
    number = _number(value)
    return (0, number, "") if number is not None else (1, 0.0, _text(value))


def _time(value: Any) -> str | None:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if value is not None else None
