"""The prediction that an id means. Pure: one, or an error that says what to type instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelstack.cli.errors import OperatorError
from modelstack.cli.view.times import when
from modelstack.monitoring.predictions import LEAST, Prediction, Searched, Window


@dataclass(frozen=True)
class Resolved:
    """The prediction that is meant; `copied` if a shadow variant answered a copy of the request, for nobody.

    `others` have the same inference id: copies, and answers to a request that was sent again.
    """

    prediction: Prediction
    copied: bool
    others: tuple[Prediction, ...]


def resolve(
    word: str, found: Searched, copied: Callable[[Prediction], bool], *, endpoint: str, command: str, window: Window
) -> Resolved:
    """The prediction that an id or the beginning of one means; `copied` says whether one answered a copy.

    Raises OperatorError where none is found, or several are, by different versions.
    """
    exact = found.exact or _only(word, found.begun)
    if not exact:
        raise _nothing(word, found, endpoint, window)
    exact = sorted(exact, key=lambda one: one.at or 0.0, reverse=True)
    answered = [one for one in exact if not copied(one)]
    meant = (answered or exact)[0]
    versions = {one.variant for one in answered}
    if len(versions) > 1:
        each = ", ".join(f"{one.variant} at {_when(one.at)} (event {one.event or 'unknown'})" for one in answered)
        raise OperatorError(
            f"{meant.inference} was answered by {len(versions)} versions: {each}",
            f"Either the request was sent again, or one was asked with a copy of it. Trace one of the events: "
            f"{command} trace {answered[0].event or 'EVENT'}",
        )
    return Resolved(meant, not answered, tuple(one for one in exact if one is not meant))


def _only(word: str, begun: Sequence[Prediction]) -> Sequence[Prediction]:
    ids = sorted({name for one in begun for name in one.begins(word)})
    if len(ids) > 1:
        some = ", ".join(ids)
        raise OperatorError(f"{word} begins the ids of several predictions: {some}", "Type more of the id.", 2)
    return begun


def _nothing(word: str, found: Searched, endpoint: str, window: Window) -> OperatorError:
    when = ""
    if window.bounded:
        since, until = (_when(at) for at in (window.since, window.until))
        when = f", between {since} and {until}" if until else f", since {since}"
    unread = "".join(f". Not looked at: {said}" for said in found.unread)
    places = " and ".join(found.places)
    return OperatorError(
        f"no prediction {word} is found of endpoint {endpoint}. Looked into: {places}{when}{unread}",
        "\n".join(["It may be that:", *(f"  - {reason}" for reason in _reasons(word, found, window))]),
    )


def _reasons(word: str, found: Searched, window: Window) -> list[str]:
    reasons: list[str] = []
    if found.percent == 0:
        reasons.append("nothing is captured: modelstack:serving.capture_percent is 0")
    elif found.percent is not None and found.percent < 100:
        reasons.append(
            f"it was not captured: of 100 requests {found.percent:g} are (modelstack:serving.capture_percent)"
        )
    if window.bounded:
        reasons.append("it was given at another time: leave --at and --since out, or widen them")
    if found.oldest is None:
        reasons.append("no capture is kept yet: a capture comes some seconds, on AWS some minutes, after its answer")
    else:
        reasons.append(
            f"it is older than what is kept (modelstack:retention.requests_days): the oldest capture is of "
            f"{when(found.oldest)}"
        )
        reasons.append("it is too new: a capture comes some seconds, on AWS some minutes, after its answer")
    reasons.append("another stack gave it: name that one with --stack")
    reasons.append("the request had no inference id, or another one; a request that failed on AWS is not captured")
    if len(word) < LEAST:
        reasons.append(f"it is the beginning of an id: that takes at least {LEAST} characters")
    return reasons


def _when(at: float | None) -> str:
    return "" if at is None or abs(at) == float("inf") else when(at)
