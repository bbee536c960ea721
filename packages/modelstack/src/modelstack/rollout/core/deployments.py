"""The releases that have served an endpoint, and when, from its audit record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from modelstack.records.audit.record import AuditRecord, RecordKind
from modelstack.rollout.core.release import Release

_NEEDED = ("package", "recipe", "image")


@dataclass(frozen=True)
class Deployment:
    """A period in which a release served alone; times are epoch seconds.

    Attributes:
        package: Its package digest, `sha256:<hex>`.
        recipe: Its recipe digest, hex.
        record: The number of the audit record that made it champion.
        serving: As in `Release`; empty if it was not stored.
    """

    release: str
    package: str
    recipe: str
    image: str
    since: float
    record: int
    until: float | None = None
    serving: Mapping[str, Any] = field(default_factory=dict[str, Any])


def deployments(records: Iterable[AuditRecord]) -> tuple[Deployment, ...]:
    """Every release that became champion, oldest first. Those without recorded digests are left out."""
    found: list[Deployment] = []
    known: dict[str, Mapping[str, Any]] = {}
    for record in records:
        what = record.what
        if all(what.get(name) for name in _NEEDED):
            known[str(what["release"])] = what
        serves = _champion(record)
        if serves is None:
            continue
        since = datetime.fromisoformat(record.time).timestamp()
        if found and found[-1].until is None:
            found[-1] = replace(found[-1], until=since)
        before = latest(found, serves) if record.kind is RecordKind.RESTORE else None
        if before is not None:  # with its old digests, whatever was begun with it meanwhile
            found.append(replace(before, since=since, record=record.number, until=None))
        elif serves in known:
            told = known[serves]
            package, recipe, image = (str(told[name]) for name in _NEEDED)
            serving = told.get("serving") or {}
            found.append(Deployment(serves, package, recipe, image, since, record.number, serving=serving))
    return tuple(found)


def _champion(record: AuditRecord) -> str | None:
    """The release that serves after a record; None if the record does not change that."""
    if record.kind is RecordKind.PROMOTION:
        return str(record.what.get("release", ""))
    if record.kind is RecordKind.RESTORE and record.what.get("event") == "rolled_back":
        return str(record.what.get("champion", ""))
    return None


def at(served: Sequence[Deployment], moment: float) -> Deployment | None:
    """The deployment at a time, epoch seconds; None before the first."""
    return next((one for one in reversed(served) if one.since <= moment), None)


def latest(served: Sequence[Deployment], release: str) -> Deployment | None:
    """The last deployment of a release; None if it never became champion."""
    return next((one for one in reversed(served) if one.release == release), None)


@dataclass(frozen=True)
class Difference:
    """A value that differs now from then; `what` is `package`, `image` or a field of the serving config."""

    what: str
    then: Any
    now: Any


def differences(then: Deployment, champion: Release) -> tuple[Difference, ...]:
    """What restoring a deployment would change of the champion; empty if it serves already."""
    pairs = [("package", then.package, champion.package_digest), ("image", then.image, champion.image_uri)]
    pairs += [(name, value, champion.serving.get(name)) for name, value in sorted(then.serving.items())]
    return tuple(Difference(*pair) for pair in pairs if pair[1] != pair[2])
