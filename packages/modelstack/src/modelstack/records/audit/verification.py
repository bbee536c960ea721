"""Verifies an audit log: walks the chain, and names the first record that was changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from modelstack.records.audit.chain import Chain
from modelstack.records.audit.record import AuditRecord, Signed

Check = Callable[[bytes, bytes], bool]  # whether a signature (second) of the stack fits a message (first)


class RecordFault(StrEnum):
    """The fault of a record."""

    UNREADABLE = "unreadable"  # it is not a record in canonical form
    CHANGED = "changed"  # it differs from what was signed
    MISSING = "missing"
    REORDERED = "reordered"  # it has another position
    FOREIGN = "foreign"  # it is about another endpoint
    OTHER_KEY = "other_key"  # it is unchanged, but signed by another key
    UNLINKED = "unlinked"  # it is signed, but does not follow the record before
    UNEXPECTED = "unexpected"  # the journal has no such record


@dataclass(frozen=True)
class TamperedRecord:
    """The first faulty record, by its number (of an unreadable one the expected number)."""

    number: int
    problem: RecordFault
    said: str = ""


@dataclass(frozen=True)
class Verified:
    """The result: how many records are valid, the digest of the last of them, and how many are only in the journal."""

    records: int
    digest: str
    waiting: int = 0
    finding: TamperedRecord | None = None


@dataclass(frozen=True)
class _Item:
    """A record, or why it cannot be read. Without a signature it comes from the journal."""

    record: AuditRecord | None
    signature: bytes | None = None
    said: str = ""


def verify(lines: Iterable[str], endpoint: str, check: Check, end: Chain | None = None) -> Verified:
    """Walk the records from the first. Without `end`, read from the journal before, missing new ones go unnoticed."""
    items = [_read(line) for line in lines]
    numbers = {item.record.number for item in items if item.record}
    waiting = [record for record in end.waiting if record.number > len(items)] if end else []
    items += map(_Item, waiting)
    before = ""
    for place, item in enumerate(items, start=1):
        following = items[place].record if place < len(items) else None
        known = following.before if following else end.digest if end and end.number == place else None
        problem = _wrong(item, place, before, endpoint=endpoint, check=check, known=known)
        if problem is RecordFault.MISSING and place in numbers:
            problem = RecordFault.REORDERED
        if problem is not None or item.record is None:
            return Verified(
                place - 1, before, finding=TamperedRecord(place, problem or RecordFault.UNREADABLE, item.said)
            )
        before = item.record.digest
    finding = _at_end(len(items), before, end) if end else None
    return Verified(len(items), before, len(waiting), finding)


def _read(line: str) -> _Item:
    try:
        signed = Signed.from_line(line)
    except (ValueError, TypeError, KeyError) as error:
        return _Item(None, said=str(error))
    return _Item(signed.record, signed.signature)


def _wrong(
    item: _Item, place: int, before: str, *, endpoint: str, check: Check, known: str | None
) -> RecordFault | None:
    """The problem of an item; `known` is its digest by the next record or the journal, None if there is neither."""
    record = item.record
    if record is None:
        return RecordFault.UNREADABLE
    if record.endpoint != endpoint:
        return RecordFault.FOREIGN
    if record.number != place:
        return RecordFault.MISSING if record.number > place else RecordFault.REORDERED
    if item.signature is not None and not check(record.canonical, item.signature):
        return RecordFault.OTHER_KEY if record.digest == known and record.before == before else RecordFault.CHANGED
    return None if record.before == before else RecordFault.UNLINKED


def _at_end(count: int, digest: str, end: Chain) -> TamperedRecord | None:
    if count < end.number:
        return TamperedRecord(count + 1, RecordFault.MISSING)
    if count > end.number:
        return TamperedRecord(end.number + 1, RecordFault.UNEXPECTED)
    return None if digest == end.digest else TamperedRecord(count, RecordFault.UNLINKED)
