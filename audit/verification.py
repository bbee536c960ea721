"""Is the record as it was written? Walks the chain, and names the first record that is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from audit.chain import Chain
from audit.record import AuditRecord, Signed

Check = Callable[[bytes, bytes], bool]
"""Whether a signature (second) is the stack's over a message (first)."""


class Problem(StrEnum):
    """What is wrong with a record."""

    UNREADABLE = "unreadable"  # it is no record, or not in the form in which they are kept
    CHANGED = "changed"  # it is not what was signed
    MISSING = "missing"
    REORDERED = "reordered"  # it stands in another place
    FOREIGN = "foreign"  # it is about another endpoint
    OTHER_KEY = "other_key"  # it is what was written, and another key signed it
    UNLINKED = "unlinked"  # it is signed, and does not follow the record before
    UNEXPECTED = "unexpected"  # the journal knows of no such record


@dataclass(frozen=True)
class Finding:
    """The first record that is not as it was written.

    Attributes:
        number: Its number; of one that cannot be read, the number that is expected there.
        problem: What is wrong.
        said: What a reader said of it; empty where the problem says all.
    """

    number: int
    problem: Problem
    said: str = ""


@dataclass(frozen=True)
class Verified:
    """What a verification found.

    Attributes:
        records: How many records are in order, from the first.
        digest: The last one's of these.
        waiting: How many of them are not put away yet, and are known from the journal alone.
        finding: What is wrong; None when nothing is.
    """

    records: int
    digest: str
    waiting: int = 0
    finding: Finding | None = None


@dataclass(frozen=True)
class _Item:
    """What stands in a place: a record, or why it cannot be read. Without a signature it is known from the journal."""

    record: AuditRecord | None
    signature: bytes | None = None
    said: str = ""


def verify(lines: Iterable[str], endpoint: str, check: Check, end: Chain | None = None) -> Verified:
    """Walk the records from the first.

    Args:
        lines: The records as they are kept, in order.
        endpoint: What they are to be about.
        check: Whether a signature is the stack's.
        end: The chain's end as the journal had it before the lines were read. None when it is not known: then it is not
            noticed that the newest records are missing.
    """
    items = [_read(line) for line in lines]
    numbers = {item.record.number for item in items if item.record}
    waiting = [record for record in end.waiting if record.number > len(items)] if end else []
    items += map(_Item, waiting)
    before = ""
    for place, item in enumerate(items, start=1):
        following = items[place].record if place < len(items) else None
        known = following.before if following else end.digest if end and end.number == place else None
        problem = _wrong(item, place, before, endpoint=endpoint, check=check, known=known)
        if problem is Problem.MISSING and place in numbers:
            problem = Problem.REORDERED
        if problem is not None or item.record is None:
            return Verified(place - 1, before, finding=Finding(place, problem or Problem.UNREADABLE, item.said))
        before = item.record.digest
    finding = _at_end(len(items), before, end) if end else None
    return Verified(len(items), before, len(waiting), finding)


def _read(line: str) -> _Item:
    try:
        signed = Signed.from_line(line)
    except (ValueError, TypeError, KeyError) as error:
        return _Item(None, said=str(error))
    return _Item(signed.record, signed.signature)


def _wrong(item: _Item, place: int, before: str, *, endpoint: str, check: Check, known: str | None) -> Problem | None:
    """What is wrong with what stands in a place.

    Args:
        item: What stands there.
        place: The number that it should have.
        before: The digest of the record before.
        endpoint: What it should be about.
        check: Whether a signature is the stack's.
        known: Its digest as the next record or the journal has it; None when neither is there.
    """
    record = item.record
    if record is None:
        return Problem.UNREADABLE
    if record.endpoint != endpoint:
        return Problem.FOREIGN
    if record.number != place:
        return Problem.MISSING
    if item.signature is not None and not check(record.canonical, item.signature):
        return Problem.OTHER_KEY if record.digest == known and record.before == before else Problem.CHANGED
    return None if record.before == before else Problem.UNLINKED


def _at_end(count: int, digest: str, end: Chain) -> Finding | None:
    """What is wrong with the newest record, by the journal."""
    if count < end.number:
        return Finding(count + 1, Problem.MISSING)
    if count > end.number:
        return Finding(end.number + 1, Problem.UNEXPECTED)
    return None if digest == end.digest else Finding(count, Problem.UNLINKED)
