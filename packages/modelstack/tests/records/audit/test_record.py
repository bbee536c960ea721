from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace

import pytest

from modelstack.records.audit.record import AuditRecord, RecordKind, Signed, canonical, plain
from tests.records.audit.made import ENDPOINT, WHO

RECORD = AuditRecord(
    1, "2026-01-02T03:04:05.678Z", ENDPOINT, RecordKind.VERDICT, WHO, {"release": "b", "said": "ä\n\ud800"}
)


def test_the_canonical_form_is_what_any_json_library_writes_with_sorted_keys_and_no_spaces() -> None:
    text = json.dumps(asdict(RECORD), sort_keys=True, separators=(",", ":"))
    assert RECORD.canonical == text.encode()
    assert RECORD.digest == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("name", ["number", "time", "endpoint", "kind", "who", "what", "before"])
def test_every_field_is_part_of_the_digest(name: str) -> None:
    other = {"number": 2, "kind": RecordKind.CLEAR, "what": {}}.get(name, "x")
    assert replace(RECORD, **{name: other}).digest != RECORD.digest


def test_a_line_is_read_back_as_it_was_written() -> None:
    signed = Signed(RECORD, b"\x00\xff")
    assert Signed.from_line(signed.line) == signed
    assert signed.line.isascii()
    assert "\n" not in signed.line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: line + " ", "canonical form"),
        (lambda line: line.replace('"number":1', '"number":1.0'), "whole `number`"),
        (lambda line: line.replace('"number":1', '"number":true'), "whole `number`"),
        (lambda line: line.replace('"verdict"', '"rumour"'), "rumour"),
        (lambda line: line.replace('"time":', '"tide":'), "got the fields"),
        (lambda line: line.replace('"before":""', '"before":7'), "record.before: got 7"),
        (lambda line: line.replace('"signature":"', '"signature":"!'), "base64"),
        (lambda line: "[" * 100_000, "nested too deeply"),
    ],
)
def test_another_text_is_no_line(change, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Signed.from_line(change(Signed(RECORD, b"\x00\xff\x01").line))


def test_whatever_was_decided_can_be_recorded() -> None:
    odd = {"a": float("inf"), "b": (1, [float("nan")]), 3: None, "c": True, "d": RecordKind.CLEAR, "e": b"x"}
    assert plain(odd) == {"a": "inf", "b": [1, ["nan"]], "3": None, "c": True, "d": "clear", "e": "b'x'"}
    assert canonical(plain(odd))
    assert plain({"rate": 0.25}) == {"rate": 0.25}
