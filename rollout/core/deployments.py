"""Which releases have served an endpoint, from when to when? Read from the audit record. Pure.

    served = deployments(records)
    at(served, datetime(2026, 3, 1, tzinfo=UTC).timestamp())       # what served then, or None

The journal keeps the champion, the one before, and a short history. The audit record keeps all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from audit.record import AuditRecord, RecordKind
from rollout.core.release import Release

_NEEDED = ("package", "recipe", "image")


@dataclass(frozen=True)
class Deployment:
    """A release that served alone, once.

    Attributes:
        release: Its id.
        package: Its package digest, `sha256:<hex>`.
        recipe: Its recipe digest, hex.
        image: The serving container.
        since: When it became champion, epoch seconds.
        record: The number of the audit record that says so.
        until: When another one did; None while it serves.
        serving: What it served with, as `Release` has it; empty where that was not kept.
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
    """Every release that became champion, oldest first. One whose digests no record tells is left out.

    Args:
        records: The audit record of one endpoint, in its order.
    """
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
        if before is not None:  # as it was left, whatever was begun with it meanwhile
            found.append(replace(before, since=since, record=record.number, until=None))
        elif serves in known:
            told = known[serves]
            package, recipe, image = (str(told[name]) for name in _NEEDED)
            serving = told.get("serving") or {}
            found.append(Deployment(serves, package, recipe, image, since, record.number, serving=serving))
    return tuple(found)


def _champion(record: AuditRecord) -> str | None:
    """The release that serves from a record on; None of one that changes nothing of it."""
    if record.kind is RecordKind.PROMOTION:
        return str(record.what.get("release", ""))
    if record.kind is RecordKind.RESTORE and record.what.get("event") == "rolled_back":
        return str(record.what.get("champion", ""))
    return None


def at(served: Sequence[Deployment], moment: float) -> Deployment | None:
    """What served at a time, epoch seconds; None before the first release."""
    return next((one for one in reversed(served) if one.since <= moment), None)


def latest(served: Sequence[Deployment], release: str) -> Deployment | None:
    """The last time that a release became champion; None if it never did."""
    return next((one for one in reversed(served) if one.release == release), None)


@dataclass(frozen=True)
class Difference:
    """Something that is otherwise now than it was.

    Attributes:
        what: `package`, `image`, or a field of the serving config.
        then: Its value then.
        now: Its value now; None of a field that is not known now.
    """

    what: str
    then: Any
    now: Any


def differences(then: Deployment, champion: Release) -> tuple[Difference, ...]:
    """What a restored deployment changes of what serves now; none if it serves already.

    Args:
        then: The deployment.
        champion: What serves now.
    """
    pairs = [("package", then.package, champion.package_digest), ("image", then.image, champion.image_uri)]
    pairs += [(name, value, champion.serving.get(name)) for name, value in sorted(then.serving.items())]
    return tuple(Difference(*pair) for pair in pairs if pair[1] != pair[2])
