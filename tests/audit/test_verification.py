"""Every way in which a record can be tampered with is found, and the first record that is wrong is named."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from audit.chain import Chain
from audit.record import Kind, Record, Signed
from audit.signature import ORDER, lowered
from audit.verification import Finding, Problem, verify
from tests.audit.made import ENDPOINT, Key, chain, lines

COUNT = 6
KEY = Key()


@cache
def whole() -> tuple[Chain, tuple[str, ...]]:
    """A chain, and its records as they lie in the store; none waits any more."""
    made = chain(COUNT)
    return made.kept(COUNT), tuple(lines(made, KEY))


def found(kept: list[str], end: Chain | None = None) -> Finding | None:
    return verify(kept, ENDPOINT, KEY.check, end or whole()[0]).finding


def resigned(line: str, key: Key, **changes: object) -> str:
    """A record with changes, signed by a key."""
    record = replace(Signed.from_line(line).record, **changes)
    return Signed.by(key, record).line


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
    assert found(kept) == Finding(number, Problem.CHANGED)


@pytest.mark.parametrize("number", range(1, COUNT + 1))
def test_a_missing_record_is_found_and_the_last_one_too(number: int) -> None:
    kept = list(whole()[1])
    del kept[number - 1]
    assert found(kept) == Finding(number, Problem.MISSING)


def test_without_the_journal_a_missing_tail_is_not_seen_so_the_journal_is_asked() -> None:
    end, kept = whole()
    assert verify(kept[:-2], ENDPOINT, KEY.check).finding is None
    seen = verify(kept[:-2], ENDPOINT, KEY.check, end)
    assert (seen.records, seen.finding) == (COUNT - 2, Finding(COUNT - 1, Problem.MISSING))
    assert verify((), ENDPOINT, KEY.check, end).finding == Finding(1, Problem.MISSING)


@pytest.mark.parametrize("number", range(1, COUNT))
def test_two_records_in_each_others_place_are_found(number: int) -> None:
    kept = list(whole()[1])
    kept[number - 1], kept[number] = kept[number], kept[number - 1]
    assert found(kept) == Finding(number, Problem.REORDERED)


def test_a_record_that_comes_twice_is_found() -> None:
    kept = list(whole()[1])
    assert found([*kept[:3], kept[2], *kept[3:]]) == Finding(4, Problem.REORDERED)


def test_a_record_that_another_key_signed_is_found_and_told_from_a_changed_one() -> None:
    kept = list(whole()[1])
    for number in (1, 3, COUNT):
        tampered = [*kept]
        tampered[number - 1] = resigned(kept[number - 1], Key())
        assert found(tampered) == Finding(number, Problem.OTHER_KEY)


def test_a_record_of_another_stack_is_found() -> None:
    kept = list(whole()[1])
    kept[2] = lines(chain(3, "flight-delay-dev"), KEY)[2]
    assert found(kept) == Finding(3, Problem.FOREIGN)


def test_who_has_the_key_and_rewrites_a_record_breaks_the_link_after_it() -> None:
    kept = list(whole()[1])
    for number in range(1, COUNT + 1):
        tampered = [*kept]
        tampered[number - 1] = resigned(kept[number - 1], KEY, who="nobody")
        assert found(tampered) == Finding(min(number + 1, COUNT), Problem.UNLINKED)


def test_a_chain_that_was_written_anew_with_the_key_does_not_end_as_the_journal_says() -> None:
    kept = lines(chain(COUNT, who="nobody"), KEY)
    assert found(kept) == Finding(COUNT, Problem.UNLINKED)


def test_a_record_that_the_journal_never_wrote_is_found() -> None:
    end, kept = whole()
    more = Record(COUNT + 1, "2030-01-01T00:00:00.000Z", ENDPOINT, Kind.EXEMPTION, "eve", {}, end.digest)
    kept = [*kept, Signed.by(KEY, more).line]
    assert found(kept) == Finding(COUNT + 1, Problem.UNEXPECTED)


@pytest.mark.parametrize(
    "line", ["", "{}", "[]", "null", '{"record":{},"signature":""}', '{"record":1,"signature":1}', "[" * 100_000]
)
def test_what_is_no_record_is_named_by_its_place(line: str) -> None:
    kept = list(whole()[1])
    kept[1] = line
    finding = found(kept)
    assert finding is not None
    assert (finding.number, finding.problem) == (2, Problem.UNREADABLE)
    assert finding.said


def test_a_second_field_of_the_same_name_is_no_way_to_show_readers_another_record() -> None:
    kept = list(whole()[1])
    kept[0] = kept[0].replace('"who":', '"who":"eve","who":')
    finding = found(kept)
    assert finding == Finding(1, Problem.UNREADABLE, "line: it is not in canonical form")


def test_records_that_are_not_put_away_yet_are_known_from_the_journal() -> None:
    made = chain(COUNT)
    kept = lines(made, KEY)[:4]
    seen = verify(kept, ENDPOINT, KEY.check, made.kept(3))
    assert (seen.records, seen.waiting, seen.finding) == (COUNT, 2, None)
    gap = replace(made, waiting=made.waiting[-1:])
    assert verify(kept, ENDPOINT, KEY.check, gap).finding == Finding(5, Problem.MISSING)


@pytest.mark.parametrize("number", range(1, COUNT + 1))
def test_the_twin_of_a_signature_is_found_though_it_verifies(number: int) -> None:
    kept = list(whole()[1])
    signed = Signed.from_line(kept[number - 1])
    r, s = decode_dss_signature(signed.signature)
    twin = replace(signed, signature=encode_dss_signature(r, ORDER - s))
    assert KEY.check(signed.record.canonical, twin.signature)
    kept[number - 1] = twin.line
    said = "signature: it is the twin of the one that was kept, which anybody can make"
    assert found(kept) == Finding(number, Problem.UNREADABLE, said)


def test_a_signature_is_kept_in_its_lower_form_whatever_the_signer_gives() -> None:
    for _ in range(32):
        given = KEY.sign(b"message")
        r, s = decode_dss_signature(given)
        assert lowered(given) == encode_dss_signature(r, min(s, ORDER - s))
    for wrong in (b"", b"x", b"\x30\x06\x02\x01\x01\x02\x01", b"\x30\x06\x02\x01\x01\x02\x01\x00", b"\x30\x80"):
        assert lowered(wrong) == wrong
