"""Labels and answers, in any order, delivered any number of times and by processes that are killed."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelstack.monitoring.captured import Recorded
from modelstack.monitoring.labels.claimed import measured
from modelstack.monitoring.labels.lines import parse
from modelstack.monitoring.labels.pairs import Batch, CapturedAnswer, CurrentTrial, JoinedRow, Label, LedgerEntry
from modelstack.monitoring.measurements import Datum, Values
from modelstack.rollout.core.errors import Busy, Unreachable
from modelstack.rollout.core.state import Phase
from modelstack.services.batches import Batches
from modelstack.services.ledger import DocumentLedger
from modelstack.services.ledger import may_hold as may_hold_any
from tests.captured import line
from tests.services.labelled import DECLARED, Killed, World


@pytest.fixture(params=[False, True], ids=["sent once", "repeatable"])
def world(request: pytest.FixtureRequest) -> World:
    return World(repeatable=request.param)


@pytest.mark.parametrize("answers_first", [True, False])
def test_a_label_and_its_answer_count_once_in_either_order_and_however_often(world: World, answers_first: bool) -> None:
    answers = world.captured("v-a", ("x", True, 0.8), ("y", False, 0.25), (None, True, 0.5))
    truth = world.labelled(("x", True), ("y", True))
    order = [answers, truth] if answers_first else [truth, answers]
    for key in (order[0], *order, *order, order[1]):
        world.deliver(key)
    assert world.seen("Accuracy", "v-a") == (2, 1)
    assert world.seen("LogLoss", "v-a") == (2, pytest.approx(0.2231 + 1.3863, abs=1e-3))
    assert world.seen("LogLossSquared", "v-a") == (2, pytest.approx(0.0498 + 1.9218, abs=1e-3))
    assert world.seen("Accuracy", "v-b") == (0, 0)
    assert world.rejected() == []
    assert world.seen("LabelsDuplicate") == world.seen("AnswersDuplicate") == (0, 0)


def test_answers_of_the_present_trial_count_once_more_under_its_rollout(world: World) -> None:
    before = world.captured("v-a", ("old", True, 0.5), ago=60)
    during = world.captured("v-a", ("new", True, 0.5)), world.captured("v-b", ("other", False, 0.5))
    world.deliver(before, *during, world.labelled(("old", True), ("new", True), ("other", True)))
    assert world.seen("Accuracy", "v-a") == (2, 2)
    assert world.seen("Accuracy", "v-a", "000002-b") == (1, 1)
    assert world.seen("Accuracy", "v-b", "000002-b") == world.seen("Accuracy", "v-b") == (1, 0)
    assert world.seen("LogLossSquared", "v-b", "000002-b")[0] == 1


def test_answers_of_an_earlier_step_count_for_no_trial(world: World) -> None:
    state = world.state
    earlier = world.captured("v-b", ("first", True, 0.5), ago=60)
    world.state = replace(state, step=1, step_starts=(world.now - 100, world.now - 30))
    world.deliver(
        earlier, world.captured("v-b", ("second", True, 0.5)), world.labelled(("first", True), ("second", True))
    )
    assert world.seen("Accuracy", "v-b") == (2, 2)
    assert world.seen("Accuracy", "v-b", "000002-b") == (1, 1)


def test_without_a_trial_that_has_traffic_nothing_counts_for_one(world: World) -> None:
    state = world.state
    assert CurrentTrial.of(state) is not None
    assert CurrentTrial.of(replace(state, phase=Phase.PREPARING, step_starts=())) is None
    assert CurrentTrial.of(replace(state, phase=Phase.IDLE)) is None
    world.state = replace(state, phase=Phase.ROLLING_BACK)
    world.deliver(world.captured("v-b", ("x", True, 0.5)), world.labelled(("x", True)))
    assert world.seen("Accuracy", "v-b") == (1, 1)
    assert world.seen("Accuracy", "v-b", "000002-b") == (0, 0)


def test_a_batch_publishes_losses_their_squares_and_counts() -> None:
    rows = [{"variant": "v", "trial": None, "losses": {"AbsoluteError": [3.0, 4.0]}}]
    checked = [{"variant": "v", "trial": "t", "invalid": True, "answers": 7}]
    data, values = measured({"rows": rows, "checked": checked, "counts": {"N": 2}}, 5.0)
    assert data == [Datum("N", "", 2, "Count", 5.0)]
    assert values == [
        Values("AbsoluteError", "v", "", [3.0, 4.0], 5.0),
        Values("AbsoluteErrorSquared", "v", "", [9.0, 16.0], 5.0),
        Values("InvalidAnswers", "v", "t", [1.0], 5.0, [7]),
    ]


def test_an_answer_of_several_predictions_has_as_many_labels(world: World) -> None:
    both = [(True, 0.9), (False, 0.2)]
    world.deliver(world.captured("v-a", ("x", both, None), ("y", both, None), ("z", both, None)))
    world.deliver(world.labelled(("x", [True, True]), ("y", [True]), ("z", True)))
    assert world.seen("Accuracy", "v-a") == (2, 1)
    assert world.seen("LabelsUnparsable")[1] == 2
    assert [why for _, why in world.rejected()] == ["v-a: label: got 1 of them, expected 2, one a prediction"] * 2


@pytest.mark.slow
def test_an_answer_or_a_label_that_the_ledger_cannot_hold_is_kept_aside_and_stops_no_other(world: World) -> None:
    large = [(True, 0.7123456789)] * 20_000  # legal: a request of 4 MB
    key = world.captured("v-a", ("large", large, None), ("small", True, 0.7), ("most", large[:1_700], None))
    world.deliver(key, world.labelled(("small", True), ("large", [True] * 20_000), ("most", [True] * 1_700)))
    assert world.seen("Accuracy", "v-a") == (1 + 1_700, 1 + 1_700)
    assert world.seen("AnswersUnreadable") == world.seen("LabelsUnparsable") == (1, 1)
    assert world.seen("InvalidAnswers", "v-a") == (3, 0), "each was held against the contract"
    why = "the answer has too many predictions for a label: more than 100,000 characters"
    assert ("AnswersUnreadable", why) in world.rejected()


def test_lines_that_are_no_labels_are_kept_aside_and_counted_once(world: World) -> None:
    world.deliver(world.captured("v-a", ("x", True, 0.9), ("w", True, 0.9)))
    key = world.labelled(
        "{", "[]", '{"inference_id": "x"}', '{"label": true}', '{"inference_id": "", "label": 1}', "",
        '{"inference_id": "x", "label": NaN}', '{"inference_id": "x", "label": {"a": 1}}', ("w", "perhaps"), ("x", True)
    )  # fmt: skip
    for _ in range(3):
        world.deliver(key)
    assert world.seen("Accuracy", "v-a") == (1, 1)
    assert world.seen("LabelsUnparsable")[1] == 8
    kinds, whys = zip(*world.rejected(), strict=True)
    assert set(kinds) == {"LabelsUnparsable"}
    assert len(whys) == 8
    assert "v-a: label: got 'perhaps', expected one of false, true" in whys


def test_the_first_label_stays_and_later_ones_are_kept_aside(world: World) -> None:
    world.deliver(world.captured("v-a", ("x", True, 0.9)), world.labelled(("x", True)))
    world.deliver(world.labelled(("x", False), ("x", True)))
    assert world.seen("Accuracy", "v-a") == (1, 1)
    assert (world.seen("LabelsContradicting"), world.seen("LabelsDuplicate")) == ((1, 1), (1, 1))
    assert world.rejected() == [
        ("LabelsContradicting", "this id has the label true already, which stays"),
        ("LabelsDuplicate", "this id has this label already"),
    ]


@pytest.mark.parametrize("apart", [True, False])
def test_a_label_that_the_model_could_not_have_given_does_not_keep_the_right_one_out(world: World, apart: bool) -> None:
    asked = world.captured("v-a", ("x", True, 0.9))
    if apart:
        world.deliver(asked, world.labelled(("x", "purple")), world.labelled(("x", True)))
    else:
        world.deliver(asked, world.labelled(("x", "purple"), ("x", True)))
    assert world.seen("Accuracy", "v-a") == (1, 1)
    assert [kind for kind, _ in world.rejected()] == ["LabelsUnparsable"]
    world.deliver(world.labelled(("x", False)))
    assert world.seen("Accuracy", "v-a") == (1, 1), "the right one stays"
    assert ("LabelsContradicting", "this id has the label true already, which stays") in world.rejected()


def test_a_label_of_no_use_that_came_before_its_answer_gives_way_too(world: World) -> None:
    world.deliver(world.labelled(("x", "purple")))
    world.deliver(world.captured("v-a", ("x", True, 0.9)), world.captured("v-b", ("x", False, 0.1)))
    assert world.seen("LabelsUnparsable")[1] == 2, "of each answer that it could not be joined with"
    world.deliver(world.labelled(("x", True)))
    assert (world.seen("Accuracy", "v-a"), world.seen("Accuracy", "v-b")) == ((1, 1), (1, 0))
    assert world.seen("LabelsContradicting")[1] == 0


def test_a_label_that_one_variant_was_joined_with_stays_though_another_could_not_be() -> None:
    entry = LedgerEntry("x", given=Label('"purple"', "f:1"), unusable=frozenset({"v-b"}))
    right = Label("true", "f:2")
    assert entry.gives_way_to(right)
    assert not entry.gives_way_to(Label('"purple"', "f:2")), "the same label is a duplicate"
    assert not replace(entry, joined=frozenset({"v-a"})).gives_way_to(right)
    assert not replace(entry, unusable=frozenset()).gives_way_to(right)


def test_the_first_of_a_file_stays_too(world: World) -> None:
    world.deliver(world.labelled(("x", True), *((f"n{n}", True) for n in range(20)), ("x", False)))
    world.deliver(world.captured("v-a", ("x", True, 0.9)))
    assert world.seen("Accuracy", "v-a") == (1, 1)
    assert world.seen("LabelsContradicting") == (1, 1)


def test_the_same_content_under_another_name_is_one_delivery(world: World) -> None:
    world.deliver(world.labelled(("x", True)), world.labelled(("x", True)))
    assert world.rejected() == []


def test_a_label_meets_the_answer_of_every_variant_that_was_asked(world: World) -> None:
    world.deliver(world.captured("v-a", ("x", True, 0.9)), world.captured("v-b", ("x", False, 0.1)))
    assert world.deliver(world.labelled(("x", True))) == 2
    assert (world.seen("Accuracy", "v-a"), world.seen("Accuracy", "v-b")) == ((1, 1), (1, 0))
    assert (world.seen("Accuracy", "v-a", "000002-b"), world.seen("Accuracy", "v-b", "000002-b")) == ((1, 1), (1, 0))
    assert world.seen("AnswersDuplicate") == (0, 0)


def test_an_id_that_one_variant_answered_twice_counts_as_it_was_first(world: World) -> None:
    world.deliver(world.captured("v-a", ("x", True, 0.9)), world.captured("v-a", ("x", False, 0.1)))
    world.deliver(world.labelled(("x", True)))
    assert (world.seen("Accuracy", "v-a"), world.seen("Accuracy", "v-b")) == ((1, 1), (0, 0))
    assert world.seen("AnswersDuplicate") == (1, 1)


def test_a_label_that_one_variant_could_not_have_given_counts_for_the_other(world: World) -> None:
    three = {**DECLARED, "classes": ["early", "late", "gone"], "probability": None}
    world.state = replace(world.state, challenger=world.release("b", three))
    world.deliver(world.captured("v-a", ("x", True, 0.9)), world.captured("v-b", ("x", "gone", None)))
    world.deliver(world.labelled(("x", "gone")))
    assert (world.seen("Accuracy", "v-a"), world.seen("Accuracy", "v-b")) == ((0, 0), (1, 1))
    assert world.rejected() == [("LabelsUnparsable", "v-a: label: got 'gone', expected one of false, true")]


def test_a_label_that_met_one_answer_waits_for_no_other_and_still_meets_the_one_that_comes_late(world: World) -> None:
    world.deliver(world.labelled(("x", True)), world.captured("v-a", ("x", True, 0.9)))
    world.now += 4000
    assert world.sweep() == 0
    world.deliver(world.captured("v-b", ("x", False, 0.1)))
    assert (world.seen("Accuracy", "v-a"), world.seen("Accuracy", "v-b")) == ((1, 1), (1, 0))
    assert world.seen("LabelsUnknown") == (0, 0)


@pytest.mark.slow
@settings(max_examples=25)
@given(st.booleans(), st.permutations(range(4)), st.lists(st.integers(0, 3), max_size=5))
def test_each_variant_counts_once_by_the_first_label_whatever_the_order(
    repeatable: bool, order: list[int], again: list[int]
) -> None:
    world = World(repeatable)
    ids = [f"{world.names}-{number}" for number in range(3)]
    keys = [
        world.captured("v-a", *((name, True, 0.9) for name in ids)),
        world.captured("v-b", *((name, False, 0.1) for name in ids)),
        world.labelled(*((name, True) for name in ids)),
        world.labelled(*((name, False) for name in ids)),
    ]
    for number in (*order, *again):
        world.deliver(keys[number])
    right = order.index(2) < order.index(3)  # the label that came first
    assert world.seen("Accuracy", "v-a") == (3, 3 if right else 0)
    assert world.seen("Accuracy", "v-b") == (3, 0 if right else 3)
    assert world.seen("LabelsContradicting")[1] == 3
    assert world.seen("LabelsDuplicate") == world.seen("AnswersDuplicate") == world.seen("LabelsLost") == (0, 0)


def test_a_label_of_an_unknown_id_is_given_up_after_its_time_and_counts_if_its_answer_comes_after_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelstack.services.ledger._REMEMBERED", 1)
    world.deliver(world.labelled(("ghost", True), ("late", False)))
    world.now += 3599
    assert world.sweep() == 0
    world.now += 2
    assert world.sweep() == 2
    assert world.sweep() == 0
    assert world.seen("LabelsUnknown")[1] == 2
    assert [kind for kind, _ in world.rejected()] == ["LabelsUnknown"] * 2
    assert "no answer with this id was captured within 3600 s" in world.rejected()[0][1]
    world.deliver(world.captured("v-a", ("late", False, 0.1)))
    assert world.seen("Accuracy", "v-a") == (1, 1)


def test_answers_that_say_nothing_are_wrong_and_those_that_cannot_be_read_are_counted(world: World) -> None:
    garbage = world.file("capture/v-a/zzz.jsonl", 'nonsense\n{"captureData": {}}\n')
    world.deliver(garbage, world.captured("v-a", ("x", None, None)), world.labelled(("x", False)))
    assert world.seen("Accuracy", "v-a") == (1, 0)
    assert world.seen("LogLoss", "v-a") == (1, 5)
    assert world.seen("AnswersUnreadable")[1] == 2
    assert world.rejected() == [
        ("AnswersUnreadable", "captureData: got neither endpointInput nor endpointOutput"),
        ("AnswersUnreadable", "the line is no JSON"),
        ("InvalidAnswers", "predictions[0].late: got null, expected one of false, true"),
    ]


def test_answers_that_break_the_contract_count_at_once_by_variant_and_by_trial(world: World) -> None:
    before = world.captured("v-b", ("old", True, None), ago=60)
    during = world.captured("v-b", ("x", True, 0.9), (None, True, float("nan")), ("y", None, 0.9), (None, True, 7))
    world.deliver(before, world.captured("v-a", (None, True, 0.9)), during)
    assert world.seen("InvalidAnswers", "v-a") == world.seen("InvalidAnswers", "v-a", "000002-b") == (1, 0)
    assert world.seen("InvalidAnswers", "v-b") == (5, 4)
    assert world.seen("InvalidAnswers", "v-b", "000002-b") == (4, 3)
    assert ("InvalidAnswers", "predictions[0].p is nan; expected a finite number") in world.rejected()
    assert [kind for kind, _ in world.rejected()] == ["InvalidAnswers"] * 4


def test_answers_are_checked_once_however_often_their_file_is_delivered_or_its_call_is_killed() -> None:
    world = World(repeatable=True)
    key = world.captured("v-b", *((f"n{n}", True, None) for n in range(5)))
    for kill_after in (*range(12), None):
        world.kill_after = kill_after
        with suppress(Killed):
            world.deliver(key)
    world.kill_after = None
    for _ in range(2):
        world.deliver(key)
        world.now += 1000
        world.sweep()
    assert world.seen("InvalidAnswers", "v-b") == (5, 5)


def test_records_without_an_answer_say_nothing_of_the_contract(world: World) -> None:
    asked = line({"instances": [{}]}).decode()
    world.deliver(world.file("capture/v-b/zzz.jsonl", f"nonsense\n{asked}"))
    assert world.seen("InvalidAnswers", "v-b") == (0, 0)


def test_a_release_that_does_not_say_what_its_answers_mean_has_no_losses(world: World) -> None:
    state = world.state
    world.state = replace(state, champion=world.release("a", None))
    world.deliver(world.captured("v-a", ("x", True, 0.9)), world.captured("v-gone", ("y", True, 0.9)))
    assert world.seen("AnswersUnreadable")[1] == 2
    assert world.deliver(world.labelled(("x", True), ("y", True))) == 0


def test_metrics_that_were_certainly_not_taken_are_sent_by_the_next_call(world: World) -> None:
    world.deliver(world.captured("v-a", ("x", True, 0.9)))
    world.metrics.refuse = Busy("throttled")
    key = world.labelled(("x", True))
    with pytest.raises(Busy, match="throttled"):
        world.deliver(key)
    world.now += 61
    world.deliver(key)
    assert world.seen("Accuracy", "v-a") == (1, 1)


def test_metrics_that_may_have_been_taken_are_never_sent_again_but_counted_as_lost() -> None:
    world = World()
    world.deliver(world.captured("v-a", ("x", True, 0.9), ("y", True, 0.9)))
    world.metrics.refuse = Unreachable("no answer")
    with pytest.raises(Unreachable, match="no answer"):
        world.deliver(world.labelled(("x", True), ("y", True)))
    for seconds, lost in ((120, 0), (900, 2), (900, 2)):
        world.now += seconds
        world.sweep()
        assert world.seen("LabelsLost")[1] == lost
    assert world.seen("Accuracy", "v-a") == (0, 0)


def test_of_two_claims_at_once_one_counts(world: World) -> None:
    def ledger() -> DocumentLedger:
        return DocumentLedger(world.documents, Batches(world.documents, world.metrics), lambda: world.now)

    ledger().labels([(name, Label("true", "f:1")) for name in "xyz"])
    for variant in ("v-a", "v-b"):
        ledger().answers(variant, [(name, CapturedAnswer("event", variant, 0.0, DECLARED, [])) for name in "xyz"])
    row, one, other = JoinedRow("v-a", None, {"Accuracy": [1.0]}), ledger(), ledger()
    assert [other.answers("v-a", [(name, CapturedAnswer("e", "v-a", 0, {}, []))])[0][1] for name in "xyz"] == [
        False
    ] * 3
    one.commit(Batch("v-a", {"x": row, "y": row}))
    other.commit(Batch("v-a", {"y": row, "z": row}))  # it has read z before
    one.commit(Batch("v-a", {"x": row}))
    assert world.seen("Accuracy", "v-a") == (3, 3)
    one.commit(Batch("v-b", {"x": replace(row, variant="v-b")}))
    assert world.seen("Accuracy", "v-b") == (1, 1)


def test_the_ledger_knows_which_captured_files_have_no_such_id(world: World) -> None:
    plain = world.captured("v-a", ("order-17", True, 0.9), (None, True, 0.9))
    probes = world.captured("v-a", ("probe-17", True, 0.9))
    broken = world.file("capture/v-a/broken.jsonl", '{"eventMetadata": {"eventId": "lost"}}')
    unread = world.captured("v-a", ("order-18", True, 0.9))
    empty = world.file("capture/v-a/empty.jsonl", "")
    world.deliver(plain, probes, broken, empty)
    files = [plain, probes, broken, unread, empty]

    def may_hold(word: str) -> list[str]:
        found = may_hold_any(world.documents, word, files)
        assert found[-2:] == [broken, unread], "what they have is not known"
        return found[:-2]

    assert may_hold("order-17") == may_hold("order-16") == [plain], "their beginnings are the same"
    assert may_hold("orde") == [plain]
    assert may_hold("1-1") == [plain], "an event id, of an answer without an inference id"
    assert may_hold("probe-17") == [probes], "probes can be traced, too"
    assert may_hold("basket") == []


def test_of_a_file_with_very_many_ids_the_ledger_knows_none() -> None:
    batch = Batch(begins=set())
    for number in range(60_000):
        batch.note(Recorded(f"{number:06}", None, "", None, None))
    assert batch.begins is None


@pytest.mark.slow
@settings(max_examples=40)
@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 4), st.none() | st.integers(0, 25)), max_size=8),
    st.integers(0, 99),
)
def test_whatever_is_killed_and_delivered_again_no_pair_counts_twice_and_none_is_lost_unseen(
    repeatable: bool, deliveries: list[tuple[int, int | None]], seed: int
) -> None:
    random = Random(seed)
    world = World(repeatable)
    pairs = [f"{world.names}-{number}" for number in range(12)]
    keys = [
        world.captured("v-a", *((name, True, 0.9) for name in pairs[:7])),
        world.captured("v-a", *((name, True, 0.9) for name in pairs[7:])),
        world.labelled(*((name, True) for name in pairs[::2])),
        world.labelled(*((name, True) for name in pairs[1::2])),
        world.captured("v-b", *((name, True, 0.9) for name in pairs)),
    ]
    for number, kill_after in deliveries:
        world.kill_after = kill_after
        try:
            world.deliver(keys[number])
        except Killed:
            world.now += random.choice([1, 70])
    world.kill_after = None
    random.shuffle(keys)
    world.deliver(*keys)
    for _ in range(2):
        world.now += 1000
        world.sweep()
    counted, lost = [world.seen("Accuracy", variant)[0] for variant in ("v-a", "v-b")], world.seen("LabelsLost")[1]
    assert max(counted) <= len(pairs)
    assert sum(counted) + lost >= 2 * len(pairs)
    assert not (repeatable and (lost or sum(counted) > 2 * len(pairs)))
    assert world.seen("LabelsDuplicate") == world.seen("LabelsUnknown") == world.seen("AnswersDuplicate") == (0, 0)


def test_a_line_is_an_inference_id_and_a_label() -> None:
    assert parse(b'{"inference_id": "x", "label": true, "more": 1}\n') == ("x", "true")
    with pytest.raises(ValueError, match="1 to 64 characters"):
        parse(json.dumps({"inference_id": "x" * 65, "label": 1}).encode())
    with pytest.raises(ValueError, match="expected a text"):  # no store and no header can hold half a letter
        parse(b'{"inference_id": "\\ud800", "label": 1}')
    with pytest.raises(ValueError, match="nested too deeply"):
        parse(b'{"inference_id": "x", "label": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
