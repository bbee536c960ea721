from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.monitoring.labels.pairs import CapturedAnswer, LedgerEntry
from modelstack.monitoring.predictions import EVER, LEAST, MOST, Prediction, Search, Window, blocks, of_entry

AT = "2026-03-01T09:30:12Z"
EPOCH = 1_772_357_412.0


def line(event: str, inference: str = "", body: str = "1", *, escaped: bool = True, **meta: Any) -> bytes:
    sides = {"endpointInput": {"data": body, "encoding": "CSV"}}
    told = {"eventId": event, **({"inferenceId": inference} if inference else {}), "inferenceTime": AT, **meta}
    return json.dumps({"captureData": sides, "eventMetadata": told}, ensure_ascii=escaped).encode() + b"\n"


def looked(word: str, *lines: bytes) -> Search:
    search = Search(word)
    search.look("v-a", b"".join(lines))
    return search


def test_an_id_is_the_callers_or_the_platforms_and_nothing_that_a_request_holds() -> None:
    lines = [line("e-1", "order-17"), line("e-2", "order-18", body="order-17"), line("order-17-e")]
    assert looked("order-17", *lines).exact == [Prediction("v-a", "e-1", "order-17", EPOCH)]
    assert looked("e-2", *lines).exact == [Prediction("v-a", "e-2", "order-18", EPOCH)]


def test_the_beginning_of_an_id_stands_for_it_from_four_characters_on() -> None:
    lines = [line("e-1", "order-17"), line("e-2", "order-18"), line("e-3", "basket-1")]
    assert [one.inference for one in looked("bask", *lines).begun] == ["basket-1"]
    assert [one.inference for one in looked("order-1", *lines).begun] == ["order-17", "order-18"]
    assert looked("bas", *lines).begun == []
    assert len("bask") == LEAST


def test_an_id_that_is_the_whole_word_is_found_among_any_number_that_begin_so() -> None:
    lines = [line(f"e-{number}", f"order-{number}") for number in range(1, 200)]
    search = looked("order-1", *lines[1:], lines[0])
    assert [one.inference for one in search.exact] == ["order-1"]
    assert len(search.begun) == MOST


@given(
    ids=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=1, max_size=6),
    escaped=st.booleans(),
)
def test_whichever_characters_an_id_has_and_however_json_writes_them_it_is_found(
    ids: list[str], *, escaped: bool
) -> None:
    lines = [line(f"event {n}", name, body=name, escaped=escaped) for n, name in enumerate(ids)]
    for word in ids:
        found = {one.inference for one in looked(word, *lines).exact}
        assert found == {word}


@given(st.lists(st.binary(max_size=30), max_size=8), st.integers(1, 40))
def test_blocks_hold_the_bytes_of_a_file_in_whole_lines(parts: list[bytes], size: int) -> None:
    whole = b"\n".join(parts)
    found = list(blocks(whole[start : start + size] for start in range(0, len(whole), size)))
    assert b"".join(found) == whole
    assert all(one.endswith(b"\n") for one in found[:-1])


@pytest.mark.parametrize(
    "broken",
    [b'{"order-17"', b'"order-17"\n', b'["order-17"]\n', b'{"eventMetadata": ["order-17"]}\n', b"\xff order-17"],
)
def test_a_line_that_is_no_record_is_passed_over(broken: bytes) -> None:
    assert looked("order-17", line("e-1", "order-17"), broken).exact == [Prediction("v-a", "e-1", "order-17", EPOCH)]


def test_a_prediction_is_told_even_if_its_time_or_its_request_cannot_be_read() -> None:
    odd = b'{"captureData": 7, "eventMetadata": {"eventId": "e-1", "inferenceId": "order-17", "inferenceTime": "noon"}}'
    assert looked("order-17", odd).exact == [Prediction("v-a", "e-1", "order-17", None)]


def test_a_ledger_tells_each_variants_answer_within_the_window() -> None:
    def answer(variant: str, at: float) -> CapturedAnswer:
        return CapturedAnswer(f"e-{variant}", variant, at, {}, [])

    entry = LedgerEntry("order-17", {one: answer(one, at) for one, at in (("v-b", 90.0), ("v-a", 100.0), ("v-c", 0.0))})
    assert [one.variant for one in of_entry(entry, EVER)] == ["v-a", "v-b", "v-c"]
    assert [(one.variant, one.at) for one in of_entry(entry, Window(95, 110))] == [("v-a", 100.0), ("v-c", None)]
