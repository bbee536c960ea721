"""How records follow each other: the end of the chain, and what is still to be put away.

A chain lies in the item that it records the changes of. So what happened, and the number and the digest of the newest
record, are written by one conditional write: none is lost, none is doubled, and two writers never give out one number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from audit.record import AuditRecord, Entry, moment, plain

MOST_BYTES = 24_000
"""How much may wait to be put away before nothing new should begin; an item of a journal has a limit."""
_ALWAYS = ("event", "rollout", "release")
_KNOWN = 50
UNKNOWN = "unknown"
"""Who it was, where nobody tells."""


@dataclass(frozen=True)
class Chain:
    """The end of a chain.

    Attributes:
        number: That of the newest record; 0 before the first.
        digest: The newest record's; empty before the first.
        drafts: What happened since the chain was written; the next write gives it its place.
        waiting: Records that are perhaps not put away yet, oldest first.
        known: The ids of the last entries that have one.
    """

    number: int = 0
    digest: str = ""
    drafts: tuple[Entry, ...] = ()
    waiting: tuple[AuditRecord, ...] = ()
    known: tuple[str, ...] = ()

    def noting(self, entry: Entry) -> Chain:
        """The chain with something more to be recorded; itself if that was noted before."""
        if entry.id and entry.id in self.known:
            return self
        known = (*self.known, entry.id)[-_KNOWN:] if entry.id else self.known
        entry = replace(entry, what=plain(entry.what))
        return replace(self, drafts=(*self.drafts, entry), known=known)

    def sealed(self, endpoint: str, who: str) -> Chain:
        """The chain in which every draft is a record; where there is no room, one without its reason and numbers.

        Args:
            endpoint: What it is about.
            who: Whose credentials, or which function, writes; empty when nobody tells.
        """
        if not self.drafts:
            return self
        entry, *drafts = self.drafts
        what = _shortened(entry.what) if self.crowded else entry.what
        time, number = moment(entry.at), self.number + 1
        record = AuditRecord(number, time, endpoint, entry.kind, who or UNKNOWN, what, self.digest)
        waiting = (*self.waiting, record)
        longer = replace(self, number=number, digest=record.digest, drafts=tuple(drafts), waiting=waiting)
        return longer.sealed(endpoint, who)

    def kept(self, number: int) -> Chain:
        """The chain once the records up to a number are put away."""
        return replace(self, waiting=tuple(record for record in self.waiting if record.number > number))

    @property
    def crowded(self) -> bool:
        """Whether so much waits to be put away that nothing new should begin."""
        return sum(len(json.dumps(asdict(record))) for record in self.waiting) > MOST_BYTES


def _shortened(what: Mapping[str, Any]) -> Mapping[str, Any]:
    """What happened to which release, and no more."""
    return {**{name: what[name] for name in _ALWAYS if name in what}, "shortened": True}
