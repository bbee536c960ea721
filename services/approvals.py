"""People approve a release before its trial: whose approval counts, and what the audit record holds of it.

    approve(versions, approvals, "3f0c1a2b4d5e", "looks well", now=time.time(), registry="flight-delay-prod")
    record(approvals.given("3f0c1a2b4d5e"), journal)     # when the release begins

The platform says who the caller is, AWS by their credentials, a cluster by its API server, and who may write approvals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from audit.record import Entry, RecordKind
from rollout.controller.agreement import change
from rollout.controller.ports import Journal
from services.principals import as_metadata, person
from services.versions import Versions, of_release

_SEARCHED = 1000
"""Versions among which a release is looked for."""


class ApprovalRefused(Exception):
    """The caller may not agree, or there is nothing to agree to; the message says which."""


@dataclass(frozen=True)
class Approval:
    """One person's word.

    Attributes:
        release: The release's id.
        package_digest: `sha256:<hex>` of what it is.
        who: The identity of the caller, as the platform names it.
        why: Their reason.
        at: When, epoch seconds.
    """

    release: str
    package_digest: str
    who: str
    why: str
    at: float


class Approvals(Protocol):
    """Where a stack stores the approvals of its releases: one of each person for each release."""

    def caller(self) -> str:
        """The identity of the caller."""
        ...

    def given(self, release: str) -> Sequence[Approval]:
        """The approvals of a release, oldest first."""
        ...

    def count(self, release: str) -> int:
        """How many they are, which needs fewer rights than to read them."""
        ...

    def add(self, approval: Approval) -> None:
        """Store an approval of a registered release by the caller, unless its person has approved it before.

        Raises:
            ApprovalRefused: It cannot be stored; the message says why.
        """
        ...


def approve(
    versions: Versions, approvals: Approvals, release: str, why: str, *, now: float, registry: str
) -> tuple[str, int]:
    """Approve a release as the caller. A second time changes nothing.

    Args:
        versions: The registry.
        approvals: Stores the approval.
        release: The release's id.
        why: The person's reason.
        now: The time, epoch seconds.
        registry: The name of the registry, for messages.

    Returns:
        The caller, and how many people have approved the release then.

    Raises:
        ApprovalRefused: No such release is registered, or the caller made it.
    """
    package = of_release(versions, release, _SEARCHED)
    if package is None:
        raise ApprovalRefused(f"no release {release} is registered in {registry}")
    who = approvals.caller()
    refuse_maker(who, release, package.made_by)
    approvals.add(Approval(release, package.package_digest, who, why, now))
    return who, approvals.count(release)


def refuse_maker(who: str, release: str, made_by: Iterable[str]) -> None:
    """See that a person is not one of those who made a release, by whatever role.

    Args:
        who: The caller's identity.
        release: The release's id.
        made_by: The identities of those who made it, here or on the stacks that it comes from.

    Raises:
        ApprovalRefused: They are the same person.
    """
    same = sorted(maker for maker in made_by if as_metadata(person(who)) == as_metadata(person(maker)))
    if same:
        known = "" if {who, as_metadata(who)} & {*same} else f", as {same[0]},"
        raise ApprovalRefused(f"{who} made release {release}{known} and who made a release may not approve it")


def entry(approval: Approval) -> Entry:
    """What the audit record keeps of a person's word; the same one has the same key, however often it is noted."""
    one = approval
    what = {**asdict(one), "event": "agreed", "package": one.package_digest}
    return Entry(one.at, RecordKind.APPROVAL, what, f"{one.at}/agreed/{one.release}/{one.who}")


def record(approvals: Iterable[Approval], journal: Journal) -> None:
    """Note in the journal who agreed to a release, for the audit record; each once, however often it is repeated.

    Raises:
        RolloutError: The journal does not answer, or does not let the caller write.
    """
    for one in approvals:
        noted = entry(one)
        change(journal, lambda state, noted=noted: state.recording(noted))
