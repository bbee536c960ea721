"""The team's own metrics: functions in the project's `monitoring/`, of a request, an answer and, if wanted, a label.

    from modelstack.monitoring.custom import mean, rate

    @rate(better="lower", margin=0.01)
    def long_delay(request, answer):                     # True or False for each prediction
        return answer["delay_minutes"] > 120

    @mean(better="lower", margin=0.5, high=10)           # a number from `low` to `high`, known once the label has come
    def cost(request, answer, label):
        return 10 if label and not answer["late"] else 0

`request` is one instance, and `answer` its prediction. A prediction for which the function returns None is not counted.
A function that raises, or returns something else, has failed: that is counted, and named in the status.

A metric is published as `<name>_<digest>`, by the digest of its file, so a changed definition begins with no values.
"""

from __future__ import annotations

import ast
import hashlib
import math
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Literal, TypeVar

from modelstack.monitoring.captured import Malformed, Rows
from modelstack.monitoring.statistics.intervals import Interval, of_mean, of_rate
from modelstack.monitoring.statistics.profile import a_count, a_list, a_number
from modelstack.rollout.core.catalogue import KNOWN, OWN
from modelstack.rollout.judge.metrics import Kind, Metric, MetricError

FOLDER = "monitoring"
"""The folder of the project, and of what runs the functions."""
RECENT, EVIDENCE = "Recent", "Evidence"
"""Suffixes of the mean of the newest values, and of the evidence that it is beyond the alarm's threshold."""
SQUARED = "Squared"
"""The suffix of the metric with another one's squared values."""
BUCKET, FEWEST = 1000, 30
"""The newest values are the last 1,000 to 2,000; a mean of fewer than 30 is not published."""
NATS = 15.0
"""The evidence that fires an alarm, n KL(mean, threshold): e^-15 by chance at each look, for independent predictions.
Looks each minute then fire by chance once in six years at most. Source: Hoeffding, JASA 58 (1963), theorem 1."""
_LONGEST_WHY = 200
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_RESERVED = {*KNOWN, "drift", "concept", "p99"}
_TAKES = "it takes a request and an answer, or a request, an answer and a label"
_IMPORTS = "allowed are the standard library and modelstack.monitoring.custom, as the functions run without others"

F = TypeVar("F", bound=Callable[..., object])
Better = Literal["lower", "higher"]


class CustomMetricError(ValueError):
    """The files of `monitoring/` cannot be used; the message has a line for each problem, with its file and line."""


@dataclass(frozen=True)
class _Declared:
    kind: Kind
    better: Better
    margin: float | None
    prove: bool
    alarm: float | None
    low: float = 0.0
    high: float = 1.0


def rate(
    *, better: Better, margin: float | None = None, prove: bool = False, alarm: float | None = None
) -> Callable[[F], F]:
    """Declare a metric that is true or false for each prediction.

    Args:
        better: Which direction is good.
        margin: How much worse a challenger may be, as an absolute difference. Without one it is not compared.
        prove: Whether every step of a trial must show it not worse; otherwise only the promotion waits for it, and not
            for labels that do not come.
        alarm: The threshold from which on it is bad. Without one there is no alarm.
    """
    return _declare(_Declared("rate", better, margin, prove, alarm))


def mean(
    *,
    better: Better,
    high: float,
    low: float = 0.0,
    margin: float | None = None,
    prove: bool = False,
    alarm: float | None = None,
) -> Callable[[F], F]:
    """Declare a metric that is a number for each prediction; values beyond `low` and `high` count as these.

    The other arguments are those of `rate`; `margin` and `alarm` are in the metric's own unit.
    """
    return _declare(_Declared("mean", better, margin, prove, alarm, low, high))


def _declare(declared: _Declared) -> Callable[[F], F]:
    def mark(function: F) -> F:
        function.__dict__["custom_metric"] = declared
        return function

    return mark


@dataclass(frozen=True)
class CustomMetric:
    """One metric. `published` is its name where metrics are stored, `place` its file and line."""

    name: str
    published: str
    place: str
    labelled: bool
    declared: _Declared
    function: Callable[..., object] = field(compare=False, repr=False)

    @property
    def alarm(self) -> float | None:
        """The threshold of its alarm."""
        return self.declared.alarm

    @property
    def is_rate(self) -> bool:
        """Whether its values are true or false."""
        return self.declared.kind == "rate"

    @property
    def better(self) -> Better:
        """Which direction is good."""
        return self.declared.better

    def metric(self) -> Metric:
        """The metric that the judge compares; MetricError if an argument is out of its range."""
        given = self.declared
        return Metric(
            self.name,
            given.kind,
            0.0 if given.margin is None else given.margin,
            better=given.better,
            prove=given.prove,
            low=given.low,
            high=given.high,
            namespace=OWN,
            metric=self.published,
            expected=not self.labelled,
        )

    def value(self, request: Mapping[str, Any], answer: Mapping[str, Any], *label: object) -> float | None:
        """The value of one prediction; None if it does not count. Raises what the function raises, or ValueError."""
        found = self.function(MappingProxyType(dict(request)), MappingProxyType(dict(answer)), *label)
        if found is None:
            return None
        if self.is_rate:
            if not isinstance(found, bool):
                raise ValueError(f"returned {found!r:.60}, expected True, False or None")
            return float(found)
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise ValueError(f"returned {found!r:.60}, expected a finite number or None")
        return min(max(float(found), self.declared.low), self.declared.high)

    def why(self, error: BaseException) -> str:
        """Why the function failed: the error, and the line of its file."""
        file = self.place.partition(":")[0]
        lines = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == file]
        place = f"{file}:{lines[-1]}" if lines else self.place
        return f"{type(error).__name__}: {error}"[:_LONGEST_WHY] + f" ({place})"

    def interval(self, values: Tally) -> Interval:
        """The mean of values, of at least one."""
        if self.is_rate:
            return of_rate(values.total, values.count)
        low, count = self.declared.low, values.count
        squares = values.squares - 2 * low * values.total + count * low * low
        found = of_mean(values.total - count * low, max(squares, 0.0), count)
        high = min(found.high + low, self.declared.high)
        return Interval(found.value + low, found.low + low, high)

    def evidence(self, values: Tally) -> float:
        """The evidence that the mean of values is beyond the alarm's threshold; an alarm from 1 on."""
        if self.alarm is None or not values.count:
            return 0.0
        low, wide = self.declared.low, self.declared.high - self.declared.low
        found, limit = (min(max((at - low) / wide, 0.0), 1.0) for at in (values.total / values.count, self.alarm))
        if self.better == "higher":
            found, limit = 1 - found, 1 - limit
        return values.count * _divergence(found, limit) / NATS if found > limit else 0.0


def _divergence(one: float, other: float) -> float:
    hit = one * math.log(one / other) if one else 0.0
    return hit + ((1 - one) * math.log((1 - one) / (1 - other)) if one < 1 else 0.0)


@dataclass
class Tally:
    """Values of a metric: their number, sum and sum of squares; and how often it failed, with the first reason."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    failed: int = 0
    why: str = ""

    def add(self, value: float | None) -> None:
        """Add a value, if it is one."""
        if value is not None:
            self.count, self.total, self.squares = self.count + 1, self.total + value, self.squares + value * value

    def fail(self, why: str, times: int = 1) -> None:
        """Count a failure."""
        self.failed, self.why = self.failed + times, self.why or why

    def merge(self, other: Tally) -> None:
        """Add another's values."""
        self.count, self.failed = self.count + other.count, self.failed + other.failed
        self.total, self.squares = self.total + other.total, self.squares + other.squares
        self.why = self.why or other.why

    def as_list(self) -> list[Any]:
        """JSON values."""
        return [self.count, self.total, self.squares, self.failed, self.why]

    @classmethod
    def from_list(cls, value: object, name: str = "tally") -> Tally:
        """Read `as_list`; ValueError for another format."""
        parts = a_list(value, name)
        if len(parts) != 5:
            raise ValueError(f"{name}: got {len(parts)} values, expected 5")
        count, failed = (a_count(parts[at], name) for at in (0, 3))
        return cls(count, a_number(parts[1], name), a_number(parts[2], name), failed, str(parts[4]))


@dataclass(frozen=True)
class CustomMetrics:
    """The metrics of a folder, by `published`.

    Attributes:
        digest: Of all of its files; empty without a metric.
        problem: Why those that the stack declares are not computed.
    """

    digest: str = ""
    each: Mapping[str, CustomMetric] = field(default_factory=dict[str, CustomMetric])
    problem: str = ""

    def any_of(self, *, labelled: bool) -> bool:
        """Whether one of them needs a label, or needs none."""
        return any(one.labelled == labelled for one in self.each.values())

    def compared(self) -> dict[str, Metric]:
        """The metrics that a trial compares, by name."""
        return {one.name: one.metric() for one in self.each.values() if one.declared.margin is not None}

    def observe(
        self, requests: Rows | Malformed, answers: Rows | Malformed, labels: Sequence[object] | None = None
    ) -> dict[str, Tally]:
        """The values of an exchange's predictions; with `labels`, one a prediction, those of the labelled metrics."""
        chosen = [one for one in self.each.values() if one.labelled == (labels is not None)]
        wrong = next((one.why for one in (answers, requests) if isinstance(one, Malformed)), "")
        if isinstance(requests, Malformed) or isinstance(answers, Malformed):
            return {one.published: Tally(failed=1, why=wrong) for one in chosen}
        if len(requests) != len(answers) or not answers:
            wrong = f"the request has {len(requests)} instances, and the answer {len(answers)} predictions"
            return {one.published: Tally(failed=max(len(answers), 1), why=wrong) for one in chosen}
        found: dict[str, Tally] = {}
        for one in chosen:
            tally = found[one.published] = Tally()
            for place, (request, answer) in enumerate(zip(requests, answers, strict=True)):
                try:
                    tally.add(one.value(request, answer, *(() if labels is None else (labels[place],))))
                except (Exception, SystemExit) as error:
                    tally.fail(one.why(error))
        return found


def files(folder: Path) -> tuple[Path, ...]:
    """The Python files of a folder, in order; none if it does not exist."""
    return tuple(sorted(folder.glob("*.py")))


def load(folder: Path) -> CustomMetrics:
    """The metrics of a folder's Python files; CustomMetricError if one cannot be used."""
    return _loaded(tuple((path.name, path.read_bytes()) for path in files(folder)))


@lru_cache(maxsize=4)
def _loaded(contents: tuple[tuple[str, bytes], ...]) -> CustomMetrics:
    problems, found = list[str](), list[CustomMetric]()
    for name, content in contents:
        place = f"{FOLDER}/{name}"
        try:
            problems += (wrong := list(_forbidden(place, ast.parse(content))))
            if not wrong:
                found += _of_file(place, content)
        except CustomMetricError as error:
            problems.append(str(error))
        except SyntaxError as error:
            problems.append(f"{place}:{error.lineno}: no Python: {error.msg}")
    names = [one.name for one in found]
    problems += [f"{one.place}: {one.name}: there is another one" for one in found if names.count(one.name) > 1]
    if problems:
        raise CustomMetricError("\n".join(problems))
    whole = hashlib.sha256(b"".join(name.encode() + b"\0" + content + b"\0" for name, content in contents))
    return CustomMetrics(whole.hexdigest()[:16] if found else "", {one.published: one for one in found})


def _forbidden(place: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        module = [f"{'.' * node.level}{node.module or ''}"] if isinstance(node, ast.ImportFrom) else []
        for name in module or [alias.name for alias in node.names]:
            if name != __name__ and name.partition(".")[0] not in sys.stdlib_module_names:
                yield f"{place}:{node.lineno}: imports {name}; {_IMPORTS}"


def _of_file(place: str, content: bytes) -> Iterator[CustomMetric]:
    module = ModuleType(place)
    try:
        exec(compile(content, place, "exec"), module.__dict__)  # noqa: S102 - the project's own code
    except (Exception, SystemExit) as error:
        lines = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == place]
        at = f"{place}:{lines[-1]}" if lines else place
        raise CustomMetricError(f"{at}: {type(error).__name__}: {error}") from None
    digest = hashlib.sha256(content).hexdigest()[:8]
    for function in list(vars(module).values()):
        declared = getattr(function, "custom_metric", None)
        if isinstance(declared, _Declared) and hasattr(function, "__code__"):
            yield _checked(place, digest, function, declared)


def _checked(place: str, digest: str, function: Callable[..., object], declared: _Declared) -> CustomMetric:
    code, name = function.__code__, function.__name__
    at = f"{place}:{code.co_firstlineno}"

    def refused(why: str) -> CustomMetricError:
        return CustomMetricError(f"{at}: {name}: {why}")

    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise refused(f"allowed are at most 40 small letters, digits and _, and none of {', '.join(sorted(_RESERVED))}")
    if code.co_argcount not in (2, 3) or code.co_kwonlyargcount or code.co_flags & 0x0C:
        raise refused(_TAKES)
    if declared.better not in ("lower", "higher"):
        raise refused(f"better is {declared.better!r}; allowed is lower or higher")
    if declared.prove and declared.margin is None:
        raise refused("prove is True, which needs a margin")
    if declared.alarm is not None and not declared.low < declared.alarm < declared.high:
        raise refused(
            f"alarm is {declared.alarm!r}; allowed is a number between {declared.low:g} and {declared.high:g}"
        )
    found = CustomMetric(name, f"{name}_{digest}", at, code.co_argcount == 3, declared, function)
    try:
        found.metric()
    except MetricError as error:
        raise refused(error.told) from None
    except TypeError as error:
        raise refused(f"an argument has the wrong type: {error}") from None
    return found
