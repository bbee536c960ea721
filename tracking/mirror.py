"""Makes MLflow show how rollouts stand: aliases, weights and verdicts. It compares, and writes what differs.

    unknown = mirror(api, shelf, state, manifest, now)      # who serves or is on trial, and MLflow does not know

Whose build it was not told of, since it was down during the update, is outlined when that update has given up. The
journal stays the truth: nothing is read back from here. It is called for a stack again and again; so what
could not be written once is written by a later call, and what is there already is not written again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rollout.core.release import Release
from rollout.core.state import RolloutState
from tracking.api import RELEASE, Api, Batch, MlflowVersion
from tracking.build import outline
from tracking.course import Course, courses, standing, strangers
from tracking.logged import Shelf, log_build

WEIGHT = "rollout_weight"
"""The metric of a run: percent of the traffic."""
FRESH = 600.0
"""Seconds for which what happened is told at each call: of two that ran at once, the one that knew less may have come
last."""
SETTLED = 120.0
"""Seconds after a rollout began until whoever began it has told MLflow of its package, or has given up."""
_UNTIL = "rollout_told_until"
"""The tag of a version: when the last happened that MLflow was told of, epoch seconds. It is set last."""


def mirror(
    api: Api, shelf: Shelf, state: RolloutState, manifest: Callable[[Release], bytes], now: float
) -> tuple[str, ...]:
    """Write what MLflow lacks of a stack's rollouts.

    Args:
        api: MLflow.
        shelf: Where the stack's builds are.
        state: Its journal.
        manifest: Gives the manifest of a release's package, once its digest was checked.
        now: Epoch seconds.

    Returns:
        The digests of champion and challenger, where MLflow has no version of them: they are told of later.

    Raises:
        MlflowError: MLflow does not answer, or refuses. The next call goes on.
        Exception: A manifest cannot be had; whatever `manifest` raises.
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
