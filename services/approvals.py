"""A person's word that a release may go on trial, and whose word counts: the same on every platform.

    refuse_maker("arn:aws:iam::1:user/ada", "3f0c1a2b4d5e", package.made_by)     # ApprovalRefused when she made it
    entry(approval)                                                              # what the audit record keeps of it

Who somebody is, the platform says: AWS by their credentials, a cluster by its API server.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from audit.record import Entry, Kind
from rollout.controller.agreement import change
from rollout.controller.ports import Journal
from services.principals import as_metadata, person


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
    return Entry(one.at, Kind.APPROVAL, what, f"{one.at}/agreed/{one.release}/{one.who}")


def record(approvals: Iterable[Approval], journal: Journal) -> None:
    """Note in the journal who agreed to a release, for the audit record; each once, however often it is repeated.

    Raises:
        RolloutError: The journal does not answer, or does not let the caller write.
    """
    for one in approvals:
        noted = entry(one)
        change(journal, lambda state, noted=noted: state.recording(noted))
