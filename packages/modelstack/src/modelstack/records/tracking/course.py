"""Rollout history of packages for MLflow: weights over time, and tags of the last rollout. Pure.

The journal's history may name releases whose package the journal has forgotten. MLflow's versions know these digests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

from modelstack.rollout.core.event import Event
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.core.verdict import Outcome

ON_TRIAL = "on trial"
_ENDED = get_args(Outcome)
_BEGUN = ("preparing", "moving")
_LONGEST = 4000


@dataclass(frozen=True)
class Point:
    """A change of a package's share: epoch seconds, and percent of the traffic."""

    at: float
    weight: float


@dataclass(frozen=True)
class Course:
    """A package's shares, oldest first, tags of its last rollout (empty without one), and time of its last event."""

    points: tuple[Point, ...]
    told: Mapping[str, str]
    at: float


def courses(state: RolloutState, others: Mapping[str, str] | None = None) -> dict[str, Course]:
    """Package digest -> history; `others` maps releases that the journal has forgotten to their package digest."""
    digests = {**(others or {}), **_digests(state)}
    points: dict[str, list[Point]] = {}
    told: dict[str, dict[str, str]] = {}
    last: dict[str, float] = {}
    for event in state.history:
        for digest, weight in _shares(event, digests, points):
            before = points.setdefault(digest, [])
            if not before or before[-1].weight != weight:
                before.append(Point(event.at, weight))
                last[digest] = event.at
        digest, says = digests.get(event.release), _told(event)
        if digest is not None and says:
            told[digest], last[digest] = says, event.at
    return {
        digest: Course(tuple(points.get(digest, ())), told.get(digest, {}), at) for digest, at in sorted(last.items())
    }


def strangers(state: RolloutState) -> set[str]:
    """Releases in the history whose package the journal has forgotten."""
    named = {event.release for event in state.history if event.release}
    named |= {_release_of(variant) for event in state.history for variant in event.weights}
    return named - _digests(state).keys()


def standing(state: RolloutState) -> dict[str, str]:
    """Alias -> package digest, for the champion and the challenger that exist."""
    who = {"champion": state.champion, "challenger": state.challenger}
    return {alias: release.package_digest for alias, release in who.items() if release is not None}


def _digests(state: RolloutState) -> dict[str, str]:
    ended = [state.decided, state.verdict, state.moved, *state.rejected.values()]
    found = {one.release: one.package_digest for one in ended if one is not None}
    return found | {one.id: one.package_digest for one in state.releases()}


def _shares(event: Event, digests: Mapping[str, str], seen: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    """The share of every package after an event with weights; 0 for a package that the event does not name."""
    if not event.weights:
        return
    now = dict.fromkeys(seen, 0.0)
    for variant, weight in event.weights.items():
        digest = digests.get(_release_of(variant))
        if digest is not None:
            now[digest] = max(now.get(digest, 0.0), float(weight))  # of one package in two images, the one that serves
    yield from now.items()


def _release_of(variant: str) -> str:
    """The release that a production variant serves: `v-<release>`."""
    return variant.rpartition("-")[2]


def _told(event: Event) -> dict[str, str]:
    """Tags from an event that begins or ends a rollout."""
    if event.champion == event.release or event.kind not in {*_BEGUN, *_ENDED}:
        return {}
    why = event.reason.text if event.reason is not None else ""
    verdict = ON_TRIAL if event.kind in _BEGUN else event.kind.replace("_", " ")
    return {"rollout": event.rollout_id, "verdict": verdict, "why": why[:_LONGEST] or "-"}
