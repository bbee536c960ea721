"""Makes MLflow show how rollouts stand: aliases, weights and verdicts. It compares, and writes what differs.

    unknown = mirror(api, "flight-delay-prod", state)       # who serves or is on trial, and MLflow does not know

The journal stays the truth: nothing is read back from here. One writer calls it for a stack, again and again; so what
could not be written once is written by a later call, and what is there already is not written again.
"""

from __future__ import annotations

from collections.abc import Mapping

from rollout.core.state import RolloutState
from tracking.api import Api, Batch, Version
from tracking.course import Course, courses, standing

WEIGHT = "rollout_weight"
"""The metric of a run: percent of the traffic."""
_UNTIL = "rollout_told_until"
"""The tag of a version: when the last happened that MLflow was told of, epoch seconds. It is set last."""


def mirror(api: Api, model: str, state: RolloutState) -> tuple[str, ...]:
    """Write what MLflow lacks of a stack's rollouts.

    Args:
        api: MLflow.
        model: The stack's registered model.
        state: Its journal.

    Returns:
        The digests of champion and challenger, where MLflow has no version of them: they are told of later.

    Raises:
        MlflowError: MLflow does not answer, or refuses. The next call goes on.
    """
    aliases, found, wanted = api.aliases(model), courses(state), standing(state)
    digests = {*found, *wanted.values()}
    if aliases is None:
        return tuple(sorted({*wanted.values()}))
    versions = api.versions_of(model, digests)
    for digest, course in found.items():
        if digest in versions:
            _tell(api, model, versions[digest], course)
    named = {alias: versions[digest].number for alias, digest in wanted.items() if digest in versions}
    _point(api, model, aliases, named)
    return tuple(sorted({*wanted.values()} - versions.keys()))


def _tell(api: Api, model: str, version: Version, course: Course) -> None:
    until = _seconds(version.tags.get(_UNTIL, ""))
    if course.at <= until:
        return
    metrics = tuple(
        (WEIGHT, point.weight, round(point.at * 1000), point.seconds) for point in course.points if point.at > until
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
