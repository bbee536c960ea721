from dataclasses import replace

import pytest

from cli.view.snapshot import AlarmView, Snapshot, VariantView, role, shares
from cli.view.timeline import Timeline, brief, changes, plain
from rollout.core.state import RolloutState


def variant(name: str, kind: str, weight: float) -> VariantView:
    return VariantView(name, kind, weight, weight, 1, "")


SEEN = Snapshot(
    at="2026-01-01T00:00:00+00:00",
    stack="local",
    endpoint="e",
    status="InService",
    config="c",
    phase="idle",
    champion="a",
    challenger=None,
    champion_package="sha256:aa",
    challenger_package=None,
    verdict=None,
    variants=(variant("v-a", "champion", 100),),
    alarms=(AlarmView("e-5xx", "OK", ""),),
    packages=(),
)


def test_the_first_look_tells_what_stands() -> None:
    assert changes(None, SEEN) == ["weights  v-a (champion) 100%", "rollout  idle"]


def test_nothing_is_said_when_nothing_changed() -> None:
    assert changes(SEEN, replace(SEEN, at="later", config="other")) == []


def test_weights_are_told_as_the_endpoint_reports_them() -> None:
    now = replace(SEEN, variants=(variant("v-a", "champion", 90), variant("v-b", "challenger", 10)))
    assert changes(SEEN, now) == ["weights  v-a (champion) 90%  v-b (challenger) 10%"]


def test_an_alarm_is_told_when_it_begins_to_ring_and_when_it_stops() -> None:
    ringing = replace(SEEN, alarms=(AlarmView("e-5xx", "ALARM", "0.5 > 0.05"),))
    assert changes(SEEN, ringing) == ["alarm    e-5xx rings: 0.5 > 0.05"]
    assert changes(ringing, ringing) == []
    assert changes(ringing, SEEN) == ["alarm    e-5xx is ok again"]


def test_a_verdict_is_told_once_with_its_reason() -> None:
    ended = replace(SEEN, verdict={"outcome": "rolled_back", "text": "too many errors"})
    assert changes(SEEN, ended) == ["verdict  rolled back: too many errors"]
    assert changes(ended, ended) == []


FILLED = "1 datapoint was received for 2 periods and 1 missing datapoint was treated as [NonBreaching]"
DATED = "1 out of the last 1 datapoints [0.66 (25/11/26 14:02:00)] was greater than the threshold (0.05)"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (f"value 0.5, threshold 0.05. Threshold Crossed: {FILLED}.", "value 0.5, threshold 0.05"),
        (
            "arn:aws:cloudwatch:us-east-1:000000000000:alarm:e-burn-fast transitioned to ALARM",
            "e-burn-fast transitioned to ALARM",
        ),
        (f"alarm x: threshold 0.05. Threshold Crossed: {FILLED}.", f"alarm x: threshold 0.05. {FILLED}."),
        (f"Threshold Crossed: {DATED}", "1 out of the last 1 datapoints [0.66] was greater than the threshold (0.05)"),
        (
            f"alarm x: value 0.5, threshold 0.05. Threshold Crossed: {FILLED}; y",
            "alarm x: value 0.5, threshold 0.05; y",
        ),
    ],
)
def test_what_cloudwatch_says_of_every_alarm_is_left_out_and_no_number_is(reason: str, words: str) -> None:
    assert plain(reason) == words


def test_a_line_that_is_too_short_for_a_reason_still_has_the_evidence() -> None:
    seen = "0.00% of 45 requests failed, of the champion's 405 0.25%"
    evidence = "evidence for worse 0.9 of 60, for not worse 2.3 of 20"
    reason = f"not yet known: errors: {seen}; about 100 more requests are needed; {evidence}"
    assert len(brief(reason)) <= 110
    assert brief(reason).startswith("not yet known: errors: 0.00% of 45 requests")
    assert brief(reason).endswith(f" ... {evidence}")
    assert brief("a reason; short") == "a reason; short"
    assert brief("many words; " + "of one clause " * 20).endswith(" ...")


def test_a_timeline_keeps_the_order_and_shows_each_moment() -> None:
    shown: list[str] = []
    timeline = Timeline(show=lambda moment: shown.append(moment.text))
    timeline.note("first")
    timeline.note("second")
    assert shown == ["first", "second"]
    assert timeline.moments[0].at <= timeline.moments[1].at


def test_no_weight_at_all_is_no_share_and_not_an_even_split() -> None:
    assert shares([0.0, 0.0]) == [0.0, 0.0]
    assert shares([9.0, 1.0]) == [90.0, 10.0]


def test_a_variant_that_the_journal_does_not_know_has_no_role() -> None:
    assert role("v-x", RolloutState("e")) == "-"
