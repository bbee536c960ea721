"""The end of the chain, and the records that are still to be stored.

It is in the journal item of the state, so one conditional write stores a change with its record's number and digest: no
record is lost or doubled, and no number is used twice.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from modelstack.records.audit.record import AuditRecord, Entry, moment, plain

MOST_BYTES = 24_000
"""How many bytes may wait before nothing new should begin; a journal's item has a size limit."""
_ALWAYS = ("event", "rollout", "release")
_KNOWN = 50
UNKNOWN = "unknown"  # the actor, if nobody reports it


@dataclass(frozen=True)
class Chain:
    """The end of a chain.

    Attributes:
        number: That of the newest record; 0 before the first.
        drafts: Entries since the last write; the next one makes them records.
        waiting: Records that may not be stored yet, oldest first.
        known: The ids of the last entries that have one.
    """

    number: int = 0
    digest: str = ""
    drafts: tuple[Entry, ...] = ()
    waiting: tuple[AuditRecord, ...] = ()
    known: tuple[str, ...] = ()

    def noting(self, entry: Entry) -> Chain:
        """The chain with one more entry; itself if its id is known."""
        if entry.id and entry.id in self.known:
            return self
        known = (*self.known, entry.id)[-_KNOWN:] if entry.id else self.known
        entry = replace(entry, what=plain(entry.what))
        return replace(self, drafts=(*self.drafts, entry), known=known)

    def sealed(self, endpoint: str, who: str) -> Chain:
        """The chain with every draft as a record, shortened if there is no room; `who` is empty if unknown."""
        if not self.drafts:
            return self
        entry, *drafts = self.drafts
        what = entry.what
        if self.crowded:
            what = {**{name: what[name] for name in _ALWAYS if name in what}, "shortened": True}
        time, number = moment(entry.at), self.number + 1
        record = AuditRecord(number, time, endpoint, entry.kind, who or UNKNOWN, what, self.digest)
        waiting = (*self.waiting, record)
        longer = replace(self, number=number, digest=record.digest, drafts=tuple(drafts), waiting=waiting)
        return longer.sealed(endpoint, who)

    def kept(self, number: int) -> Chain:
        """The chain after the records up to a number are stored."""
        return replace(self, waiting=tuple(record for record in self.waiting if record.number > number))

    @property
    def crowded(self) -> bool:
        """Whether so much waits to be stored that nothing new should begin."""
        return sum(len(json.dumps(asdict(record))) for record in self.waiting) > MOST_BYTES
