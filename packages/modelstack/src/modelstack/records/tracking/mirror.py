"""Updates aliases, weights and verdicts in MLflow to match the journal. Idempotent; what it reads decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from modelstack.records.tracking.api import RELEASE, Api, Batch, MlflowVersion
from modelstack.records.tracking.build import outline
from modelstack.records.tracking.course import Course, courses, standing, strangers
from modelstack.records.tracking.logged import Shelf, log_build
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState

WEIGHT = "rollout_weight"  # a run's metric: percent of the traffic
FRESH = 600.0
"""Seconds for which an event is written again at each call, because of two concurrent calls the staler may end last."""
SETTLED = 120.0
"""Seconds after a rollout began, within which its update writes the build itself. After that, an outline is written."""
_UNTIL = "rollout_told_until"
"""A version's tag with the time of the last event in MLflow, epoch seconds. It is set last."""


def mirror(
    api: Api, shelf: Shelf, state: RolloutState, manifest: Callable[[Release], bytes], now: float
) -> tuple[str, ...]:
    """Write what is missing in MLflow, and return the digests of champion and challenger without a version there.

    `manifest` returns the checked manifest of a release's package, and its errors pass through. `now` is epoch seconds.
    After an MlflowError, a later call continues.
    """
    unknown = _mirrored(api, shelf.model, state, now)
    if unknown and now - state.started_at > SETTLED:
        for release in (state.champion, state.challenger):
            if release is not None and release.package_digest in unknown:
                log_build(api, outline(release, manifest(release), state.started_at), shelf)
        unknown = _mirrored(api, shelf.model, state, now)
    return unknown


def _mirrored(api: Api, model: str, state: RolloutState, now: float) -> tuple[str, ...]:
    aliases, wanted, nameless = api.aliases(model), standing(state), strangers(state)
    if aliases is None:
        return tuple(sorted({*wanted.values()}))
    versions = api.versions_of(model, {*courses(state), *wanted.values()}, nameless)
    found = courses(state, {one.tags[RELEASE]: digest for digest, one in versions.items() if RELEASE in one.tags})
    named = {alias: versions[digest].number for alias, digest in wanted.items() if digest in versions}
    _point(api, model, aliases, named)  # first: it matters most, and time may run out
    for digest, course in sorted(found.items(), key=lambda one: -one[1].at):
        if digest in versions:
            _tell(api, model, versions[digest], course, again=now - course.at < FRESH)
    return tuple(sorted({*wanted.values()} - versions.keys()))


def _tell(api: Api, model: str, version: MlflowVersion, course: Course, *, again: bool) -> None:
    until = _seconds(version.tags.get(_UNTIL, ""))
    if course.at <= until and not again:
        return
    # MLflow shows the value of the highest step as the latest, so steps rise over all rollouts of a version.
    metrics = tuple(
        (WEIGHT, point.weight, round(point.at * 1000), round(point.at)) for point in course.points if point.at > until
    )
    if version.run_id:
        api.log(version.run_id, Batch(metrics=metrics, tags=course.told))
    for key, value in course.told.items():
        if version.tags.get(key) != value:
            api.tag_version(model, version.number, key, value)
    api.tag_version(model, version.number, _UNTIL, repr(course.at))


def _point(api: Api, model: str, now: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    for alias in ("champion", "challenger"):
        if alias in wanted and now.get(alias) != wanted[alias]:
            api.set_alias(model, alias, wanted[alias])
        elif alias not in wanted and alias in now:
            api.drop_alias(model, alias)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("-inf")
