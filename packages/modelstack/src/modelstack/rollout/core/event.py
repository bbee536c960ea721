"""An event of a rollout, as data and as a sentence for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from modelstack.rollout.reason import Reason


@dataclass(frozen=True)
class Event:
    """An event for the history and for notifications; `at` is in epoch seconds, `kind` a key of `_WHAT`, or newer.

    Attributes:
        champion: The release id that serves, or will, where that matters.
        numbers: `step`, from 1; `percent` or `copies` of the requests; `seconds` more; a metric's pivot.
        weights: The requested percent of traffic per variant.
    """

    at: float
    rollout_id: str
    kind: str
    release: str = ""
    champion: str = ""
    reason: Reason | None = None
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])
    weights: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def what(self) -> str:
        """What happened, in one line."""
        made = _WHAT.get(self.kind, "{0.kind} of {0.release}: upgrade pulumi-modelstack to know this event")
        return made.format(self) if isinstance(made, str) else made(self)

    @property
    def text(self) -> str:
        """What happened and why, in one sentence."""
        return f"{self.what}: {self.reason.text}" if self.reason is not None else self.what


def latency(microseconds: float) -> str:
    """A latency in microseconds, as text in ms or s."""
    return f"{microseconds / 1e6:.3g} s" if microseconds >= 1e6 else f"{microseconds / 1e3:.3g} ms"


def _begins(event: Event) -> str:
    if event.champion == event.release:
        return f"the champion, {event.champion}, moves to other instances, without a trial"
    same = ", the champion's model in another image," if event.numbers.get("same_model") else ""
    beside = f" beside champion {event.champion}" if event.champion else ""
    return f"release {event.release}{same} begins{beside}"


def _share(event: Event) -> str:
    if "copies" in event.numbers:
        return f"{event.release} gets copies of {event.numbers['copies']:.0f}% of the requests"
    return f"{event.release} gets {event.numbers['percent']:.0f}%"


def _pivots(event: Event) -> str:
    each = ", ".join(f"{name} {latency(value)}" for name, value in event.numbers.items())
    return f"from now on latencies are compared with the champion's of now, the pivot: {each}"


def _approved(event: Event) -> str:
    if "seconds" in event.numbers:
        return f"the trial of {event.release} goes on for another {event.numbers['seconds']:.0f} s"
    return f"step {event.numbers['step']:.0f} of {event.release} is approved"


def _ended(event: Event) -> str:
    """The end of a trial, or of a champion that was rolled back to the one before."""
    kind = event.kind.replace("_", " ")
    return f"{event.champion} is champion again" if event.champion else f"{event.release} {kind}"


_WHAT: Mapping[str, str | Callable[[Event], str]] = {
    "preparing": _begins,
    "moving": _begins,
    "replayed": "{0.release} was sent captured requests",
    "weights": _share,
    "pivots": _pivots,
    "reduced": "{0.release} goes back to {0.numbers[percent]:.0f}%",
    "paused": "step {0.numbers[step]:.0f} of {0.release} waits for an approval",
    "held": "{0.release} is held",
    "approved": _approved,
    "promoting": "{0.release} goes to 100%",
    "rolling_back": "{0.champion} gets 100% back",
    "restoring": "{0.champion} comes back",
    "promoted": "{0.release} is champion",
    "rolled_back": _ended,
    "withdrawn": _ended,
    "failed": _ended,
    "superseded": _ended,
    "cleared": "{0.release} may be tried again",
    "skip_trial": "{0.release} may take over without a trial",
    "restore": "{0.release} is to serve again",
    "restore_lifted": "{0.release} counts no more, and the config does again",
    "stranded": "{0.champion} has all traffic, beside {0.release} without any",
    "not_serving": "champion {0.release} has no ready instance",
    "untold": "{0.numbers[events]:.0f} older events could not be reported in time",
    "left_to_judge": "{0.release} is left to the judge, as both versions fail",
}
