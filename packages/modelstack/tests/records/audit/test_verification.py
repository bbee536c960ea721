"""Every way in which a record can be tampered with is found, and the first record that is wrong is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from modelstack.records.audit.chain import Chain
from modelstack.records.audit.record import AuditRecord, RecordKind, Signed
from modelstack.records.audit.signature import ORDER, lowered
from modelstack.records.audit.verification import RecordFault, TamperedRecord, verify
from tests.records.audit.made import ENDPOINT, Key, chain, lines

COUNT = 6
KEY = Key()


@cache
def whole() -> tuple[Chain, tuple[str, ...]]:
    """A chain, and its records as they lie in the store; none waits any more."""
    made = chain(COUNT)
    return made.kept(COUNT), tuple(lines(made, KEY))


def found(kept: list[str], end: Chain | None = None) -> TamperedRecord | None:
    return verify(kept, ENDPOINT, KEY.check, end or whole()[0]).finding


def resigned(line: str, key: Key, **changes: object) -> str:
    record = replace(Signed.from_line(line).record, **changes)
    return Signed.by(key, record).line


def put(kept: list[str], number: int, line: str) -> list[str]:
    return [*kept[: number - 1], line, *kept[number:]]


def test_records_as_they_were_written_are_in_order() -> None:
    end, kept = whole()
    seen = verify(kept, ENDPOINT, KEY.check, end)
    assert (seen.records, seen.digest, seen.waiting, seen.finding) == (COUNT, end.digest, 0, None)
    assert verify((), ENDPOINT, KEY.check, Chain()).finding is None


@pytest.mark.parametrize("number", range(1, COUNT + 1))
@pytest.mark.parametrize(
    "changes",
    [
        {"time": "2030-01-01T00:00:00.000Z"},
        {"kind": "incident"},
        {"who": "arn:aws:iam::000000000000:user/eve"},
        {"what": {}},
        {"before": "0" * 64},
    ],
)
def test_a_changed_field_is_found(number: int, changes: dict[str, object]) -> None:
    kept = list(whole()[1])
    value = json.loads(kept[number - 1])
    value["record"] |= changes
    kept[number - 1] = json.dumps(value, sort_keys=True, separators=(",", ":"))
    assert found(kept) == TamperedRecord(number, RecordFault.CHANGED)


def swapped(kept: list[str], at: int) -> list[str]:
    return [*kept[: at - 1], kept[at], kept[at - 1], *kept[at + 1 :]] if at < COUNT else swapped(kept, at - 1)


def twice(kept: list[str], at: int) -> list[str]:
    return [*kept[:at], *kept[at - 1 :]]


@pytest.mark.parametrize("number", range(1, COUNT + 1))
@pytest.mark.parametrize(
    ("tamper", "first", "problem"),
    [
        (lambda kept, at: [*kept[: at - 1], *kept[at:]], lambda at: at, RecordFault.MISSING),
        (swapped, lambda at: min(at, COUNT - 1), RecordFault.REORDERED),
        (twice, lambda at: at + 1, RecordFault.REORDERED),
        (lambda kept, at: put(kept, at, resigned(kept[at - 1], Key())), lambda at: at, RecordFault.OTHER_KEY),
        (lambda kept, at: put(kept, at, lines(chain(at, "dev"), KEY)[-1]), lambda at: at, RecordFault.FOREIGN),
        (
            lambda kept, at: put(kept, at, resigned(kept[at - 1], KEY, who="nobody")),
            lambda at: min(at + 1, COUNT),
            RecordFault.UNLINKED,
        ),
    ],
    ids=["missing", "swapped", "twice", "signed by another key", "of another stack", "rewritten with the key"],
)
def test_a_record_that_is_not_as_it_was_written_is_found_wherever_it_is(
    number: int, tamper: Callable[[list[str], int], list[str]], first: Callable[[int], int], problem: RecordFault
) -> None:
    assert found(tamper([*whole()[1]], number)) == TamperedRecord(first(number), problem)


def test_without_the_journal_a_missing_tail_is_not_seen_so_the_journal_is_asked() -> None:
    end, kept = whole()
    assert verify(kept[:-2], ENDPOINT, KEY.check).finding is None
    seen = verify(kept[:-2], ENDPOINT, KEY.check, end)
    assert (seen.records, seen.finding) == (COUNT - 2, TamperedRecord(COUNT - 1, RecordFault.MISSING))
    assert verify((), ENDPOINT, KEY.check, end).finding == TamperedRecord(1, RecordFault.MISSING)


def test_a_chain_that_was_written_anew_with_the_key_does_not_end_as_the_journal_says() -> None:
    kept = lines(chain(COUNT, who="nobody"), KEY)
    assert found(kept) == TamperedRecord(COUNT, RecordFault.UNLINKED)


def test_a_record_that_the_journal_never_wrote_is_found() -> None:
    end, kept = whole()
    more = AuditRecord(COUNT + 1, "2030-01-01T00:00:00.000Z", ENDPOINT, RecordKind.EXEMPTION, "eve", {}, end.digest)
    kept = [*kept, Signed.by(KEY, more).line]
    assert found(kept) == TamperedRecord(COUNT + 1, RecordFault.UNEXPECTED)


@pytest.mark.parametrize(
    "line", ["", "{}", "[]", "null", '{"record":{},"signature":""}', '{"record":1,"signature":1}', "[" * 100_000]
)
def test_what_is_no_record_is_named_by_its_place(line: str) -> None:
    kept = list(whole()[1])
    kept[1] = line
    finding = found(kept)
    assert (finding.number, finding.problem) == (2, RecordFault.UNREADABLE)
    assert finding.said


def test_a_second_field_of_the_same_name_is_no_way_to_show_readers_another_record() -> None:
    kept = list(whole()[1])
    kept[0] = kept[0].replace('"who":', '"who":"eve","who":')
    finding = found(kept)
    assert finding == TamperedRecord(1, RecordFault.UNREADABLE, "line: it is not in canonical form")


def test_records_that_are_not_put_away_yet_are_known_from_the_journal() -> None:
    made = chain(COUNT)
    kept = lines(made, KEY)[:4]
    seen = verify(kept, ENDPOINT, KEY.check, made.kept(3))
    assert (seen.records, seen.waiting, seen.finding) == (COUNT, 2, None)
    gap = replace(made, waiting=made.waiting[-1:])
    assert verify(kept, ENDPOINT, KEY.check, gap).finding == TamperedRecord(5, RecordFault.MISSING)


@pytest.mark.parametrize("number", range(1, COUNT + 1))
def test_the_twin_of_a_signature_is_found_though_it_verifies(number: int) -> None:
    kept = list(whole()[1])
    signed = Signed.from_line(kept[number - 1])
    r, s = decode_dss_signature(signed.signature)
    twin = replace(signed, signature=encode_dss_signature(r, ORDER - s))
    assert KEY.check(signed.record.canonical, twin.signature)
    kept[number - 1] = twin.line
    said = "signature: it is the twin of the one that was kept, which anybody can make"
    assert found(kept) == TamperedRecord(number, RecordFault.UNREADABLE, said)


def test_a_signature_is_kept_in_its_lower_form_whatever_the_signer_gives() -> None:
    for _ in range(32):
        given = KEY.sign(b"message")
        r, s = decode_dss_signature(given)
        assert lowered(given) == encode_dss_signature(r, min(s, ORDER - s))
    for wrong in (b"", b"x", b"\x30\x06\x02\x01\x01\x02\x01", b"\x30\x06\x02\x01\x01\x02\x01\x00", b"\x30\x80"):
        assert lowered(wrong) == wrong
