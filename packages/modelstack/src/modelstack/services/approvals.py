"""Approvals of a release by people, before its trial: who may approve, and what the audit record stores.

approve(versions, approvals, "3f0c1a2b4d5e", "looks well", now=time.time(), registry="flight-delay-prod")
record(approvals.given("3f0c1a2b4d5e"), journal)     # when the release begins
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Protocol

from modelstack.forms import check
from modelstack.records.audit.record import Entry, RecordKind
from modelstack.rollout.controller.agreement import change
from modelstack.rollout.controller.ports import Journal
from modelstack.rollout.core.errors import Conflict, RolloutError
from modelstack.rollout.stored import read
from modelstack.services.ports import Blobs, names
from modelstack.services.principals import as_metadata, person
from modelstack.services.versions import Versions, of_release

_SEARCHED = 1000
"""Number of newest versions that are searched for a release."""
APPROVALS = "approvals"
"""The folder of all approvals among the blobs."""


class ApprovalRefused(Exception):
    """The caller may not approve, or the release does not exist; the message says which."""


@dataclass(frozen=True)
class Approval:
    """One person's approval: `who` is their identity as the platform names it, `at` is in epoch seconds."""

    release: str
    package_digest: str
    who: str
    why: str
    at: float


class Approvals(Protocol):
    """The approvals of a stack's releases, one for each person and release."""

    def caller(self) -> str:
        """The identity of the caller."""

    def given(self, release: str) -> Sequence[Approval]:
        """The approvals of a release, oldest first."""

    def add(self, approval: Approval) -> None:
        """Store the caller's approval, unless the same person has approved the release before, or `ApprovalRefused`."""

    def count(self, release: str) -> int:
        """The number of approvals, which may need fewer rights than reading them."""
        return len(self.given(release))


@dataclass(frozen=True)
class BlobApprovals(Approvals):
    """`Approvals` above blobs under `approvals/`. Each person has their own, so concurrent writers lose nothing."""

    blobs: Blobs
    identity: Callable[[], str]

    def caller(self) -> str:
        return self.identity()

    def given(self, release: str) -> list[Approval]:
        found = list[Approval]()
        for name in self._names(release):
            with suppress(FileNotFoundError):  # it was deleted since it was listed
                stored = json.loads(b"".join(self.blobs.get(name)))
                check("approval", stored.get("version", 1), RolloutError)
                found.append(read(Approval, stored, newer=True))
        return sorted(found, key=lambda one: one.at)

    def count(self, release: str) -> int:
        """See `Approvals`; it lists names alone."""
        return len(self._names(release))

    def add(self, approval: Approval) -> None:
        digest = hashlib.sha256(person(approval.who).encode()).hexdigest()[:16]
        name = f"{APPROVALS}/{approval.release}/{digest}.json"
        if name not in self._names(approval.release):
            with suppress(Conflict):  # the same person was faster
                self.blobs.put_new(name, json.dumps(asdict(approval), indent=2).encode())

    def _names(self, release: str) -> list[str]:
        return [*names(self.blobs, f"{APPROVALS}/{release}/")]


def approve(
    versions: Versions, approvals: Approvals, release: str, why: str, *, now: float, registry: str
) -> tuple[str, int]:
    """Approve a release as the caller; returns the caller and the number of approvals. Repeating it changes nothing.

    Raises `ApprovalRefused` if no such release is registered, or the caller made it.
    """
    package = of_release(versions, release, _SEARCHED)
    if package is None:
        raise ApprovalRefused(f"no release {release} is registered in {registry}")
    who = approvals.caller()
    refuse_maker(who, release, package.made_by)
    approvals.add(Approval(release, package.package_digest, who, why, now))
    return who, approvals.count(release)


def refuse_maker(who: str, release: str, made_by: Iterable[str]) -> None:
    """Raise `ApprovalRefused` if the caller is a person who made the release, in whatever role."""
    same = sorted(maker for maker in made_by if as_metadata(person(who)) == as_metadata(person(maker)))
    if same:
        known = "" if {who, as_metadata(who)} & {*same} else f", as {same[0]},"
        raise ApprovalRefused(f"{who} made release {release}{known} and who made a release may not approve it")


def record(approvals: Iterable[Approval], journal: Journal) -> None:
    """Add approvals to the journal for the audit record, each once however often this is repeated."""
    for one in approvals:
        what = {**asdict(one), "event": "agreed", "package": one.package_digest}
        noted = Entry(one.at, RecordKind.APPROVAL, what, f"{one.at}/agreed/{one.release}/{one.who}")
        change(journal, lambda state, noted=noted: state.recording(noted))
