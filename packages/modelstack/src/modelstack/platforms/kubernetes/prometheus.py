"""Client of Prometheus' HTTP API: raw samples, instant and range queries, and rules.

Source: Prometheus documentation, "HTTP API" (instant queries, range queries, rules, errors and warnings).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import httpx

from modelstack.platforms.kubernetes.answers import Forbidden
from modelstack.rollout.core.errors import Busy, RolloutError, Unreachable

_TOO_MANY = 429
_DOWN = frozenset({502, 503, 504})
_REFUSED = frozenset({401, 403})
_NOTE = "PromQL"  # how the notes begin that say of a query that it is odd; others say that an answer is not whole
_PIECE = 6 * 3600  # seconds whose samples are read at once: a day's are too many for one answer


@dataclass(frozen=True)
class Samples:
    """A series: labels without the metric's name, and points of epoch seconds and value, in order, each time once."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Prometheus:
    """Client of one Prometheus, or of a compatible server.

    Every call raises Unreachable if it is down, slow or responds in part; Busy if it is overloaded; another
    RolloutError if it refuses.
    """

    client: httpx.Client

    def samples(self, selector: str, start: float, end: float) -> list[Samples]:
        """The raw samples of a selector's series from `start` to `end`, epoch seconds, both included."""
        found: _Found = {}
        for low, high in _pieces(start, end):
            # From Prometheus 3 on, a range does not include its beginning.
            query = f"{selector}[{math.ceil((high - low) * 1000) + 1}ms]"
            for item in self._query({"query": query, "time": f"{high:.3f}"}, "matrix"):
                _merge(found, _labels(item), item)
        return [
            Samples(dict(labels), tuple((at, value) for at, value in sorted(points.items()) if start <= at <= end))
            for labels, points in found.items()
        ]

    def values(self, query: str, at: float) -> list[tuple[Mapping[str, str], float]]:
        """The labels and values of a query at a time."""
        return [
            (_labels(item), float(item["value"][1]))
            for item in self._query({"query": query, "time": f"{at:.3f}"}, "vector")
        ]

    def steps(self, query: str, start: float, end: float, step: int) -> list[Samples]:
        """The results of a query at `start`, `start + step` and so on, up to `end`; labels may include the name."""
        most = 10_000  # Prometheus answers with 11,000 points at most
        found: _Found = {}
        low = start
        while low <= end:
            high = min(end, low + most * step)
            asked = {"query": query, "start": f"{low:.3f}", "end": f"{high:.3f}", "step": str(step)}
            for item in self._query(asked, "matrix", "query_range"):
                _merge(found, item["metric"], item)
            low = high + step
        return [Samples(dict(labels), tuple(sorted(points.items()))) for labels, points in found.items()]

    def groups(self, name: str, labels: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """The groups of a name, with only the alerts that have these labels."""
        data = self._get("rules", {"type": "alert", "rule_group[]": name})
        found = list[Mapping[str, Any]]()
        for group in cast(list[Mapping[str, Any]], data.get("groups", [])):
            ours = [rule for rule in group.get("rules", ()) if labels.items() <= rule.get("labels", {}).items()]
            if ours and group.get("name") == name:  # older ones know no `rule_group[]`
                found.append({**group, "rules": ours})
        return found

    def _query(self, asked: Mapping[str, str], kind: str, path: str = "query") -> list[Mapping[str, Any]]:
        data = self._get(path, asked)
        if data.get("resultType") != kind:
            raise RolloutError(f"{self._name}: got {data.get('resultType')!r} for {asked['query']}, expected {kind}")
        return cast(list[Mapping[str, Any]], data["result"])

    @property
    def _name(self) -> str:
        return f"Prometheus at {self.client.base_url}"

    def _get(self, path: str, asked: Mapping[str, str]) -> Mapping[str, Any]:
        try:
            answer = self.client.get(f"api/v1/{path}", params=dict(asked))
        except httpx.TimeoutException as error:
            raise Unreachable(f"{self._name} does not answer in time ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._name} does not answer: {error or type(error).__name__}") from error
        body: Mapping[str, Any] = {}
        with suppress(ValueError):
            read = answer.json()
            body = cast(Mapping[str, Any], read) if isinstance(read, dict) else {}
        if answer.status_code != httpx.codes.OK or body.get("status") != "success":
            raise self._refused(answer, body)
        partial = [text for text in cast(list[str], body.get("warnings") or []) if not text.startswith(_NOTE)]
        if partial:
            raise Unreachable(f"{self._name} answers only in part: {'; '.join(partial)}")
        return cast(Mapping[str, Any], body["data"])

    def _refused(self, answer: httpx.Response, body: Mapping[str, Any]) -> RolloutError:
        # An API server that is asked in between says `message`.
        said = str(body.get("error") or body.get("message") or " ".join(answer.text.split())[:200] or "nothing")
        told = f"{self._name} answers {answer.status_code}: {said}"
        if answer.status_code == _TOO_MANY:
            return Busy(told)
        if answer.status_code in _DOWN or body.get("errorType") in {"timeout", "canceled"}:
            return Unreachable(told)
        if answer.status_code in _REFUSED:
            return Forbidden(f"{told}. Give the controller the right to read it")
        return RolloutError(told if body else f"{told}. Is that the address of a Prometheus?")


def epoch(text: str) -> float:
    """Seconds of a Prometheus time, which has nanoseconds; 0 for its year 1, which means never."""
    at = datetime.fromisoformat(text)
    return at.timestamp() if at.year > 1 else 0.0


def number(value: object) -> float | None:
    """A number of Prometheus; None if it is invalid or not finite."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


_Found = dict[tuple[tuple[str, str], ...], dict[float, float]]


def _merge(found: _Found, labels: Mapping[str, str], item: Mapping[str, Any]) -> None:
    points = {float(at): float(value) for at, value in item.get("values", ())}
    found.setdefault(tuple(sorted(labels.items())), {}).update(points)


def _labels(item: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in item["metric"].items() if name != "__name__"}


def _pieces(start: float, end: float) -> Iterator[tuple[float, float]]:
    while end - start > _PIECE:
        yield start, start + _PIECE
        start += _PIECE
    yield start, end
