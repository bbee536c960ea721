"""The replay gate: compares the challenger's answers to captured requests with the champion's.

An answer's *schema* is its structure: names, lengths, types, and that numbers are finite. Its *decision* is every value
that is not a fraction: booleans, text, and whole numbers (`1.0` too). Fractions are scores and may differ.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, cast

from modelstack.rollout.core.answers import OTHER, broken, form_of
from modelstack.rollout.core.plan import ReplayGate
from modelstack.rollout.core.state import Replayed
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason

_EXAMPLES = 5
_LONGEST, _KEPT = 160, 1000  # characters of a value, and of an example, as the journal's size is limited
_LEAST_S = 1e-6

Difference = Literal["same", "changed", "error"]


@dataclass(frozen=True)
class Examined:
    """How one answer compares: `error` is a failure or another schema, `changed` is another decision."""

    kind: Difference
    text: str = ""


@dataclass(frozen=True)
class ReplayedRequest:
    """One replayed request; `champion_seconds` is None when it was not sent to the champion again."""

    examined: Examined
    seconds: float
    champion_seconds: float | None = None


def examine(champion: bytes, challenger: bytes) -> Examined:
    """Compare two bodies. If the champion's is not text, only check that the challenger's is not empty."""
    form, expected = form_of(champion)
    got = form.read(challenger)
    wrong = broken(challenger)
    if wrong:  # whatever the champion's answer is
        return Examined("error", wrong)
    if got is OTHER:
        return Examined("error", f"the answer is no {form.name}: {_short(challenger)}")
    changed = ""
    for difference in _differences(expected, got, ""):
        if difference.kind == "error":
            return difference
        changed = changed or difference.text
    return Examined("changed", changed) if changed else Examined("same")


NONE = Replayed(0, 0, 0, None)  # before the first request


def summed(
    answers: Sequence[ReplayedRequest],
    unreadable: Mapping[str, int] | None = None,
    *,
    before: Replayed = NONE,
    seconds: float = 0.0,
    reached: str = "",
) -> Replayed:
    """The result of all replayed requests, on top of that of those `before`; for its fields see `Replayed`."""
    wrong = [item.examined.text for item in answers if item.examined.kind == "error"]
    changed = [item.examined.text for item in answers if item.examined.kind == "changed"]
    timed = [item for item in answers if item.champion_seconds is not None and item.examined.kind != "error"]
    times = (*before.times, *((item.seconds, item.champion_seconds or 0.0) for item in timed))
    ratio = median(one for one, _ in times) / max(median(other for _, other in times), _LEAST_S) if times else None
    return Replayed(
        before.requests + len(answers),
        before.errors + len(wrong),
        before.changed + len(changed),
        ratio,
        tuple(dict.fromkeys([*before.examples, *(_cut(text) for text in (*wrong, *changed))]))[:_EXAMPLES],
        Counter(before.unreadable) + Counter(unreadable or {}),
        before.seconds + seconds,
        times,
        reached,
    )


def judged_replay(gate: ReplayGate, seen: Replayed) -> Reason | None:
    """Why the challenger fails the gate; None when it passes, or the gate waits for more requests."""
    if not seen.requests or seen.goes_on(gate):
        return None
    errors, changed = seen.errors / seen.requests, seen.changed / seen.requests
    numbers = {"requests": float(seen.requests), "errors": errors, "changed": changed}
    if seen.latency_ratio is not None:
        numbers["latency_ratio"] = seen.latency_ratio
    facts = {"example": seen.examples[0]} if seen.examples else {}

    def beyond(name: str, kind: Kind, value: float, bound: float) -> Reason:
        return Reason("replay", name, numbers={**numbers, "value": value, "bound": bound}, kind=kind, facts=facts)

    if errors > gate.max_errors:
        return beyond("errors", Kind.REPLAY_ERRORS, errors, gate.max_errors)
    if changed > gate.max_changed:
        return beyond("changed decisions", Kind.REPLAY_CHANGED, changed, gate.max_changed)
    if seen.latency_ratio is not None and seen.latency_ratio > gate.max_latency_ratio:
        return beyond("latency", Kind.REPLAY_LATENCY, seen.latency_ratio, gate.max_latency_ratio)
    return None


def unchecked(gate: ReplayGate | None, seen: Replayed | None) -> Reason | None:
    """Why the gate could not be checked; None when it was, is still to be, or does not exist."""
    if gate is None or seen is None or seen.requests >= gate.least:
        return None
    numbers = {"requests": float(seen.requests), "min_requests": float(gate.least)}
    if seen.reached:
        return Reason("replay", "requests", numbers={**numbers, "seconds": seen.seconds}, kind=Kind.REPLAY_GOES_ON)
    return Reason(
        "replay", "requests", numbers=numbers, kind=Kind.REPLAY_UNCHECKED, facts={"on_too_few": gate.on_too_few}
    )


def outcome(gate: ReplayGate | None, seen: Replayed) -> Reason:
    """The reason that reports a replay, and why the gate could not be checked, if so."""
    counts = {"requests": seen.requests, "errors": seen.errors, "changed": seen.changed}
    numbers = {name: float(count) for name, count in counts.items()}
    if seen.latency_ratio is not None:
        numbers["latency_ratio"] = seen.latency_ratio
    facts = {"unreadable": dict(seen.unreadable)} if seen.unreadable else {}
    return Reason("replay", "requests", numbers=numbers, kind=Kind.REPLAYED, facts=facts, beside=unchecked(gate, seen))


def _differences(expected: Any, got: Any, where: str) -> Iterator[Examined]:
    at = where or "the answer"
    if _type(expected) != _type(got):
        yield Examined("error", f"{at} is {_short(got)}, of type {_type(got)}; expected {_type(expected)}")
    elif isinstance(expected, Mapping):
        yield from _members(cast(Mapping[str, Any], expected), cast(Mapping[str, Any], got), where)
    elif isinstance(expected, list):
        wanted, found = cast(list[Any], expected), cast(list[Any], got)
        if len(wanted) != len(found):
            yield Examined("error", f"{at} has {len(found)} items; expected {len(wanted)}")
            return
        for place, (left, right) in enumerate(zip(wanted, found, strict=True)):
            yield from _differences(left, right, f"{where}[{place}]")
    elif expected != got and not _fraction(expected) and not _fraction(got):
        yield Examined("changed", f"{at} is {_short(got)}, was {_short(expected)}")


def _members(expected: Mapping[str, Any], got: Mapping[str, Any], where: str) -> Iterator[Examined]:
    for name in (*expected, *(name for name in got if name not in expected)):
        at = f"{where}.{name}".lstrip(".")
        if name in expected and name in got:
            yield from _differences(expected[name], got[name], at)
        else:
            yield Examined("error", f"{at} {'is missing' if name in expected else 'was never there'}")


def _fraction(value: Any) -> bool:
    """Whether it is a number that is not whole; NaN and infinity are not whole either."""
    return isinstance(value, float) and not value.is_integer()


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    kinds = {int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return kinds[type(value)]


def _short(value: Any) -> str:
    return _cut(value.decode("utf-8", "replace") if isinstance(value, bytes) else json.dumps(value), _LONGEST)


def _cut(text: str, longest: int = _KEPT) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."
