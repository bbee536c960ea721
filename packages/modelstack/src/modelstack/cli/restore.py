"""Finds a release that served before, and restores it."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from modelstack.cli.errors import OperatorError, explained
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.rollback import acting
from modelstack.cli.target import Target
from modelstack.cli.view import audit_records
from modelstack.cli.view.releases import Name, find, journal_state
from modelstack.cli.view.times import when
from modelstack.records.audit.record import moment
from modelstack.records.provenance.envelope import SignatureError
from modelstack.rollout.core.deployments import Deployment, Difference, at, deployments, differences, latest
from modelstack.rollout.core.restored import Restored
from modelstack.rollout.core.restoring import refuse_unless_restorable
from modelstack.rollout.kinds import Kind
from modelstack.services.sealed_packages import Gone, RegistryError

_MOST_NAMED = 5
_LEAST = 4  # minimum digits of an abbreviated name; the match is shown and confirmed before anything changes
_DATE = re.compile(r"\d{4}-")  # no name of a release begins so


@dataclass(frozen=True)
class PastDeployment:
    """A past deployment that can be restored, with its verified archive and its differences from what serves now."""

    deployment: Deployment
    archive_uri: str
    changes: tuple[Difference, ...]


def look(target: Target, word: str, *, although_rejected: bool) -> PastDeployment:
    """Find a deployment by a time or a (shortened) name, and check that it can be restored; OperatorError otherwise."""
    meant = choose(deployments(audit_records.proven(target)), word, target.endpoint, time.time())
    state = journal_state(target)
    with explained(f"restoring release {meant.release}"):
        refuse_unless_restorable(state, meant.release, meant.serving, although_rejected=although_rejected)
    changes = differences(meant, state.champion) if state.champion else ()
    return PastDeployment(meant, _verified(target, meant), changes)


def choose(served: Sequence[Deployment], word: str, endpoint: str, now: float) -> Deployment:
    """The deployment at a time, or the last one of a release; `served` is oldest first, `now` epoch seconds.

    OperatorError if nothing matches, several releases do, or the time is in the future.
    """
    if not served:
        raise OperatorError(f"the audit record of {endpoint} tells of no release that served")
    meant = _moment(word)
    if meant is not None:
        if meant > now:
            raise OperatorError(f"--at {word} is still to come: {when(meant, now)}", exit_code=2)
        found = at(served, meant)
        if found is None:
            first = served[0]
            raise OperatorError(
                f"nothing served {endpoint} at {when(meant, now)}: the first release, {first.release}, became champion "
                f"at {when(first.since, now)}"
            )
        return found
    named = find(word, dict.fromkeys(Name(one.release, one.recipe, one.package) for one in served), _LEAST)
    found = latest(served, named.id) if named else None
    if found is None:
        known = list(dict.fromkeys(one.release for one in reversed(served)))
        more = f", and {len(known) - _MOST_NAMED} before" if len(known) > _MOST_NAMED else ""
        raise OperatorError(
            f"--at {word}: no release of that name ever served {endpoint}; served have: "
            f"{', '.join(known[:_MOST_NAMED])}{more}",
            "Give a time in UTC, such as 2026-03-01T09:30, or the id or digest of a release, or its first 4 digits. "
            "One that was only on trial has never served. `modelstack audit show` lists all of them.",
        )
    return found


def _moment(word: str) -> float | None:
    """Epoch seconds of a time, UTC unless it has a zone; None for a name. OperatorError for a malformed time."""
    if not _DATE.match(word):
        return None
    try:
        given = datetime.fromisoformat(word)
        seconds = (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()
        moment(seconds)  # its zone may take it out of the years that there are
    except (ValueError, OverflowError) as error:
        raise OperatorError(f"--at {word} is no time: {error}", "Give one as 2026-03-01T09:30.", 2) from None
    return seconds


def _verified(target: Target, meant: Deployment) -> str:
    store, signed_by = platform_of(target).package_store(), target.output("signing_key").encode()
    try:
        return store.verified(meant.package, meant.image, signed_by)
    except Gone as error:
        hint = f"`modelstack reproduce {meant.package}` tells whether the same bytes can be built again."
        raise OperatorError(f"release {meant.release} cannot be restored: {error}", hint) from None
    except (RegistryError, SignatureError) as error:
        why = f"release {meant.release} is not restored, nothing of it was run: {error}"
        raise OperatorError(why, store.restoring(meant.package)) from None


def told(found: PastDeployment) -> str:
    """What would be restored and what that changes, as lines."""
    one = found.deployment
    until = when(one.until) if one.until else "now"
    lines = [f"release {one.release} served from {when(one.since)} to {until} (audit record {one.record})"]
    width = max((len(item.what) for item in found.changes), default=0)
    for item in found.changes:
        now = "not known" if item.now is None else item.now
        lines.append(f"  {item.what:{width}}  {item.then}  (now {now})")
    if not found.changes:
        lines.append("  it serves now: nothing is otherwise, and it stays")
    if not one.serving:
        lines.append("  what it was served with was not kept then: the config's modelstack:serving counts")
    lines.append("its archive is there, and its digest and signature are right")
    return "\n".join(lines)


def restore(target: Target, found: PastDeployment, why: str, *, although_rejected: bool) -> str:
    """Restore a deployment; returns a sentence with what to do next. OperatorError if that is no longer possible."""
    one, now = found.deployment, time.time()
    controls, reason = acting(target, why, Kind.RESTORED)
    wanted = Restored(
        release=one.release,
        recipe=one.recipe,
        package_digest=one.package,
        archive_uri=found.archive_uri,
        image_uri=one.image,
        reason=reason,
        at=now,
        served=one.since,
        serving=one.serving,
    )
    with explained(f"restoring release {one.release}"):
        controls.restore(wanted, although_rejected=although_rejected)
    changed = {item.what for item in found.changes}
    if not changed:
        return f"release {one.release} stays, whatever checkout and config ask for"
    if changed.isdisjoint({"package", "image"}):
        return (
            f"{target.commands.pulumi_up} moves release {one.release} back to what it was served with, without a trial"
        )
    return f"release {one.release} is to serve again: {target.commands.pulumi_up} puts it on trial, as any other"


def lift(target: Target, why: str) -> str:
    """End a restoration; returns a sentence with what to do next. OperatorError if nothing is restored."""
    controls, reason = acting(target, why, Kind.RESTORED)
    with explained(f"lifting what is restored on {target.endpoint}"):
        controls.lift_restore(reason)
    return f"checkout and config count again: {target.commands.pulumi_up} releases what they ask for"
