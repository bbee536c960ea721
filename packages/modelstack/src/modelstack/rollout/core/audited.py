"""The audit entries of a rollout's events, without sentences: a decision is recorded even if its reason has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from modelstack.records.audit.record import Entry, RecordKind
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.restored import Restored
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.reason import Reason

_WISHES = ("restore", "restore_lifted")
_KINDS: Mapping[str, RecordKind] = {
    **dict.fromkeys(("preparing", "moving"), RecordKind.RELEASE),
    **dict.fromkeys(("paused", "held"), RecordKind.HOLD),
    "approved": RecordKind.APPROVAL,
    **dict.fromkeys(("promoting", "rolling_back", "restoring"), RecordKind.DECISION),
    **dict.fromkeys(("rolled_back", "withdrawn", "superseded", "failed"), RecordKind.VERDICT),
    "promoted": RecordKind.PROMOTION,
    "skip_trial": RecordKind.EXEMPTION,
    "cleared": RecordKind.CLEAR,
    **dict.fromkeys(_WISHES, RecordKind.RESTORE),
    **dict.fromkeys(("stranded", "left_to_judge", "reduced", "not_serving"), RecordKind.INCIDENT),
}
"""Event kind -> kind of its record. Steps, pivots and replays are in the history only."""


def entry(
    event: Event, releases: Iterable[Release], verdicts: Iterable[Verdict], restored: Restored | None = None
) -> Entry | None:
    """The audit entry of an event; None for an event that is not recorded."""
    kind = _KINDS.get(event.kind)
    if kind is None:
        return None
    if kind is RecordKind.VERDICT and event.kind == "rolled_back" and event.champion:
        kind = RecordKind.RESTORE  # the one before it serves again
    verdicts = tuple(verdicts)
    what: dict[str, Any] = {
        "event": event.kind,
        "rollout": event.rollout_id,
        "release": event.release,
        **(_of_wish(event, restored) or _identity(event.release, releases, verdicts)),
    }
    if event.champion:
        what["champion"] = event.champion
    if event.numbers:
        what["numbers"] = event.numbers
    if event.reason is not None:
        what["reason"] = asdict(event.reason)
    if evidence := _evidence(event, verdicts):
        what["evidence"] = [asdict(reason) for reason in evidence]
    return Entry(event.at, kind, what)


def _of_wish(event: Event, restored: Restored | None) -> dict[str, Any]:
    if restored is None or event.kind not in _WISHES:
        return {}
    return _facts(restored.package_digest, restored.recipe, restored.image_uri, restored.serving)


def _facts(package: str, recipe: str, image: str, serving: Mapping[str, Any]) -> dict[str, Any]:
    return {"package": package, "recipe": recipe, "image": image, **({"serving": serving} if serving else {})}


def _identity(release: str, releases: Iterable[Release], verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """The digests of a release, or of a recipe that a person named; empty when they are unknown."""
    for known in releases:
        if known.id == release:
            return _facts(known.package_digest, known.recipe, known.image_uri, known.serving)
    for ended in verdicts:
        if release in {ended.release, ended.recipe}:
            return {"package": ended.package_digest, "recipe": ended.recipe}
    return {}


def _evidence(event: Event, verdicts: Iterable[Verdict]) -> tuple[Reason, ...]:
    same = (one for one in verdicts if (one.rollout_id, one.release) == (event.rollout_id, event.release))
    return next((one.evidence for one in same if one.outcome == event.kind), ())
