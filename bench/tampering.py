"""Is every tampered audit record found, and named?

    python -m bench tampering

The records are those of bad days (`bench.bad_days`), signed with a key made for the run. Each mutant tampers with them
in one of seven ways, at a random place; it counts as found when the verification names the first record that is wrong.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.bad_days.day import BadDay
from bench.rows import Row, sized
from modelstack.cli.view.audit_records import checking
from modelstack.records.audit.chain import Chain
from modelstack.records.audit.record import AuditRecord, RecordKind, Signed
from modelstack.records.audit.signature import ORDER
from modelstack.records.audit.verification import verify

MUTANTS = 200
_SEED, _AT_LEAST = 20, 20


class _Key:
    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.check = checking(public)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message, ec.ECDSA(SHA256()))

    def line(self, record: AuditRecord) -> str:
        return Signed.by(self, record).line


@dataclass(frozen=True)
class _Kept:
    """What lies in a stack's store, and what its journal says."""

    lines: tuple[str, ...]
    end: Chain
    endpoint: str


def rows(mutants: int = MUTANTS) -> list[Row]:
    """How many of the tampered records are found and named; none is where nothing was tampered with."""
    chance, key, thief = random.Random(_SEED), _Key(), _Key()
    ours, theirs = _kept(key, _SEED), _kept(key, _SEED + 1000, "other")
    if (found := verify(ours.lines, ours.endpoint, key.check, ours.end).finding) is not None:
        raise AssertionError(f"untouched records are not in order: {found}")
    ways: list[Callable[[], tuple[Sequence[str], int]]] = [
        lambda: _changed(ours, chance),
        lambda: _removed(ours, chance),
        lambda: _reordered(ours, chance),
        lambda: _truncated(ours, chance),
        lambda: _resigned(ours, chance, thief),
        lambda: _spliced(ours, theirs, chance),
        lambda: _mirrored(ours, chance),
    ]
    named, of = Counter[str](), sized(mutants, len(ways))
    for number in range(of):
        lines, wrong = ways[number % len(ways)]()
        seen = verify(lines, ours.endpoint, key.check, ours.end).finding
        if seen is not None and seen.number == wrong:
            named[seen.problem] += 1
    peer = f"of {of}, among {len(ours.lines)} records; " + ", ".join(f"{many} {how}" for how, many in named.items())
    return [Row("audit_mutants_found", named.total(), "records", f"== {of}", peer)]


def _kept(key: _Key, seed: int, endpoint: str = "") -> _Kept:
    """The records of the first bad day from a seed on that has enough of them."""
    while True:
        day = BadDay(seed)
        if endpoint:
            day.world.state = replace(day.world.state, endpoint=endpoint)
        day.run()
        records = [record for _, record in sorted(day.world.records.items())]
        if len(records) >= _AT_LEAST:
            return _Kept(tuple(map(key.line, records)), day.world.state.audit, day.world.state.endpoint)
        seed += 1


def _changed(ours: _Kept, chance: random.Random) -> tuple[list[str], int]:
    """One field of one record says something else, in canonical form, under the old signature."""
    place = chance.randrange(len(ours.lines))
    signed = Signed.from_line(ours.lines[place])
    was = signed.record
    record = chance.choice(
        [
            replace(was, time="2030-01-01T00:00:00.000Z"),
            replace(was, kind=RecordKind.CLEAR if was.kind is RecordKind.INCIDENT else RecordKind.INCIDENT),
            replace(was, who="eve"),
            replace(was, what={**was.what, "release": "eve"}),
            replace(was, before="0" * 64),
        ]
    )
    return _with(ours, place, replace(signed, record=record).line), place + 1


def _removed(ours: _Kept, chance: random.Random) -> tuple[list[str], int]:
    place = chance.randrange(len(ours.lines) - 1)
    return [*ours.lines[:place], *ours.lines[place + 1 :]], place + 1


def _reordered(ours: _Kept, chance: random.Random) -> tuple[list[str], int]:
    one, other = sorted(chance.sample(range(len(ours.lines)), 2))
    lines = _with(ours, one, ours.lines[other])
    lines[other] = ours.lines[one]
    return lines, one + 1


def _truncated(ours: _Kept, chance: random.Random) -> tuple[list[str], int]:
    left = chance.randrange(len(ours.lines))
    return list(ours.lines[:left]), left + 1


def _resigned(ours: _Kept, chance: random.Random, thief: _Key) -> tuple[list[str], int]:
    """One record, as it was or with another `who`, is signed by a key that is not the stack's."""
    place = chance.randrange(len(ours.lines))
    record = Signed.from_line(ours.lines[place]).record
    return _with(ours, place, thief.line(replace(record, who=chance.choice([record.who, "eve"])))), place + 1


def _spliced(ours: _Kept, theirs: _Kept, chance: random.Random) -> tuple[list[str], int]:
    """A record of another stack under the number of one of ours, signed by a key that both trust."""
    place = chance.randrange(min(len(ours.lines), len(theirs.lines)))
    return _with(ours, place, theirs.lines[place]), place + 1


def _mirrored(ours: _Kept, chance: random.Random) -> tuple[list[str], int]:
    """A record with the other signature that verifies, which anybody can make of the one that is there."""
    place = chance.randrange(len(ours.lines))
    signed = Signed.from_line(ours.lines[place])
    r, s = decode_dss_signature(signed.signature)
    return _with(ours, place, replace(signed, signature=encode_dss_signature(r, ORDER - s)).line), place + 1


def _with(ours: _Kept, place: int, line: str) -> list[str]:
    return [*ours.lines[:place], line, *ours.lines[place + 1 :]]
