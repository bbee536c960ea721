"""How the replay gate compares two answers, and sums them up."""

from __future__ import annotations

import json

import pytest

from modelstack.rollout.core.plan import ReplayGate
from modelstack.rollout.core.replay import Examined, ReplayedRequest, examine, judged_replay, outcome, summed, unchecked
from modelstack.rollout.core.state import Replayed

SAME = Examined("same")


@pytest.mark.parametrize(
    ("champion", "challenger"),
    [
        (b'{"late": true, "p": 0.7}', b'{"p": 0.4, "late": true}'),
        (b"0.25", b"0.75"),
        (b"1", b"1.0"),
        (b"1", b"0.5"),  # a saturated score
        (b"[null, []]", b"[null, []]"),
        (b"yes,0.25", b"yes,0.75"),
        (b"1,0.5\n0,0.5\n", b"1.0, 0.25\r\n0,0.5"),
        (b'"a, b",0.5', b'"a, b",0.25'),
        (
            b'{"late": true, "p": 0.7}\n{"late": false, "p": 0.3}',
            b'{"late": true, "p": 0.6}\n{"late": false, "p": 0.2}',
        ),
        (b"\x93NUMPY\xff", b"\x93NUMPY\xfe"),
    ],
)
def test_scores_may_differ_and_the_way_of_writing_too(champion: bytes, challenger: bytes) -> None:
    assert examine(champion, challenger) == SAME


@pytest.mark.parametrize(
    ("champion", "challenger", "text"),
    [
        (b'{"late": true}', b'{"late": false}', "late is false, was true"),
        (b'{"class": "a"}', b'{"class": "b"}', 'class is "b", was "a"'),
        (b"[1]", b"[0]", "[0] is 0, was 1"),
        (b"1", b"0.0", "the answer is 0.0, was 1"),
        (b"1.0", b"0", "the answer is 0, was 1.0"),
        (b"1.0", b"0.0", "the answer is 0.0, was 1.0"),
        (b'{"of": [{"n": 3.0}]}', b'{"of": [{"n": 4.0}]}', "of[0].n is 4.0, was 3.0"),
        (b"1,0.5", b"0,0.5", "[0][0] is 0, was 1"),
        (b"yes,0.5\nno,0.5", b"yes,0.5\nyes,0.5", '[1][0] is "yes", was "no"'),
        (b"1_0,0.5", b"10x,0.5", '[0][0] is "10x", was "1_0"'),
        (b'{"late": true}\n{"late": true}', b'{"late": true}\n{"late": false}', "[1].late is false, was true"),
    ],
)
def test_booleans_text_and_whole_numbers_are_decisions(champion: bytes, challenger: bytes, text: str) -> None:
    assert examine(champion, challenger) == Examined("changed", text)


@pytest.mark.parametrize(
    ("champion", "challenger", "text"),
    [
        (b'{"p": 0.5}', b"", "the answer is empty"),
        (b"\xff\xfe", b"", "the answer is empty"),
        (b'{"p": 0.5}', b"oops", "the answer is no JSON: oops"),
        (b"1\n0", b"oops", "the answer is no JSON Lines: oops"),
        (b"yes,0.5", b"\xff", "the answer is no text: "),
        (b'{"p": 0.5}', b"[0.5]", "the answer is [0.5], of type array; expected object"),
        (b"true", b"1", "the answer is 1, of type number; expected boolean"),
        (b'{"p": null}', b'{"p": 0.5}', "p is 0.5, of type number; expected null"),
        (b"[1, 2]", b"[1]", "the answer has 1 items; expected 2"),
        (b"1,0.5", b"1,0.5,0.5", "[0] has 3 items; expected 2"),
        (b"1,0.5\n0,0.5", b"1,0.5", "the answer has 1 items; expected 2"),
        (b"1,0.5", b"yes,0.5", '[0][0] is "yes", of type string; expected number'),
    ],
)
def test_another_schema_is_an_error(champion: bytes, challenger: bytes, text: str) -> None:
    examined = examine(champion, challenger)
    assert examined.kind == "error"
    assert examined.text.startswith(text)


@pytest.mark.parametrize(
    ("champion", "challenger"),
    [(b"0.5", b"NaN"), (b"NaN", b"NaN"), (b"nan,0.5", b"nan,0.5"), (b"1,0.5", b"9" * 5000 + b",0.5")],
)
def test_a_number_that_is_not_finite_is_an_error_whatever_the_champion_says(champion: bytes, challenger: bytes) -> None:
    examined = examine(champion, challenger)
    assert examined.kind == "error"
    assert examined.text.endswith("expected a finite number")


def test_an_answer_nested_too_deeply_is_an_error() -> None:
    assert examine(b"[0.5]", b"[" * 100_000).kind == "error"


def test_whole_numbers_of_any_size_are_compared_exactly() -> None:
    assert examine(b"1" + b"0" * 400, b"1" + b"0" * 399 + b"1").kind == "changed"
    assert examine(b"12345678901234567890,0.5", b"12345678901234567891,0.5").kind == "changed"


def test_the_first_difference_in_the_champions_order_is_told() -> None:
    names = [f"field-{number}" for number in range(50)]
    champion = json.dumps(dict.fromkeys(names, 1)).encode()
    assert examine(champion, b"{}").text == "field-0 is missing"
    assert examine(champion, json.dumps(dict.fromkeys(reversed(names), 0)).encode()).text == "field-0 is 0, was 1"
    assert examine(b"{}", champion).text == "field-0 was never there"


def test_an_error_goes_before_a_changed_decision() -> None:
    examined = examine(b'{"late": true, "p": 0.5}', b'{"late": false, "p": NaN}')
    assert (examined.kind, examined.text) == ("error", "p is nan; expected a finite number")


def test_answers_are_counted_by_kind_with_the_first_five_texts_errors_first() -> None:
    changed = [ReplayedRequest(Examined("changed", f"changed {number}"), 1.0) for number in (1, 1, 2, 3, 4)]
    wrong = [ReplayedRequest(Examined("error", f"wrong {number}"), 1.0) for number in (1, 2)]
    seen = summed([*changed, ReplayedRequest(SAME, 1.0), *wrong])
    assert (seen.requests, seen.errors, seen.changed) == (8, 2, 5)
    assert seen.examples == ("wrong 1", "wrong 2", "changed 1", "changed 2", "changed 3")


def test_the_latency_is_the_ratio_of_the_medians_over_what_both_answered() -> None:
    answers = [
        ReplayedRequest(SAME, 2.0, 1.0),
        ReplayedRequest(Examined("changed", "x"), 6.0, 2.0),
        ReplayedRequest(SAME, 40.0, 10.0),
        ReplayedRequest(SAME, 900.0),  # the champion was not asked again
        ReplayedRequest(Examined("error", "an error is quick"), 0.0, 50.0),
    ]
    assert summed(answers).latency_ratio == 6.0 / 2.0


@pytest.mark.parametrize(
    "answers", [[], [ReplayedRequest(SAME, 1.0)], [ReplayedRequest(Examined("error", "x"), 1.0, 1.0)]]
)
def test_without_a_pair_of_answers_there_is_no_latency_to_compare(answers: list[ReplayedRequest]) -> None:
    assert summed(answers).latency_ratio is None


def test_a_champion_that_takes_no_time_at_all_still_gives_a_ratio() -> None:
    assert summed([ReplayedRequest(SAME, 2e-6, 0.0)]).latency_ratio == pytest.approx(2.0)


def test_the_outcome_tells_which_records_could_not_be_read() -> None:
    unreadable = {"the line is no JSON": 2, "captureData: got list, expected an object": 1}
    gate = ReplayGate(requests=1, min_requests=1)
    passed_over = "(3 captured records cannot be read: 2 times the line is no JSON, 1 times captureData: got list"
    assert (
        outcome(gate, summed([ReplayedRequest(SAME, 1.0)])).text
        == "1 captured requests replayed: 0 errors, 0 other decisions"
    )
    for answers in ([], [ReplayedRequest(SAME, 1.0)]):
        assert passed_over in outcome(gate, summed(answers, unreadable)).text


@pytest.mark.parametrize("requests", [0, 1, 19])
def test_too_few_requests_are_no_pass_and_no_failure_while_the_gate_waits(requests: int) -> None:
    gate, seen = ReplayGate(), Replayed(requests, requests, 0, 9.0)
    assert gate.waits(requests)
    assert judged_replay(gate, seen) is None
    few = unchecked(gate, seen)
    assert few.numbers == {"requests": requests, "min_requests": 20}
    assert few.text == (
        f"the replay gate could not be checked: only {requests} captured requests were there to replay, at least 20 "
        "are needed (replay.min_requests); it waits for more"
    )
    assert outcome(gate, seen).text.endswith("it waits for more")


def test_too_few_requests_that_may_pass_are_judged_as_far_as_they_go_and_told() -> None:
    gate = ReplayGate(on_too_few="pass")
    assert not gate.waits(0)
    assert judged_replay(gate, Replayed(0, 0, 0, None)) is None
    failed = judged_replay(gate, Replayed(3, 3, 0, None))
    assert failed.name == "errors"
    few = unchecked(gate, Replayed(3, 0, 0, None))
    assert few.text.endswith("on_too_few: pass lets it through")


def test_as_many_requests_as_are_needed_are_judged_and_nothing_is_missing() -> None:
    gate = ReplayGate()
    assert not gate.waits(20)
    assert unchecked(gate, Replayed(20, 0, 0, None)) is unchecked(gate, None) is unchecked(None, None) is None
    failed = judged_replay(gate, Replayed(20, 1, 0, None))
    assert failed.name == "errors"
