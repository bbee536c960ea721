from dataclasses import asdict, replace

from cli.platform.facts import AlarmView, EndpointState
from cli.target import Target
from cli.view.snapshot import Snapshot, VariantView, role, seen_at
from cli.view.timeline import brief, brief_verdict, changes
from rollout.core.live import Live, Variant
from rollout.core.state import RolloutState
from rollout.kinds import Kind
from rollout.reason import Reason


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


def test_the_first_look_tells_what_stands_and_the_next_nothing_when_nothing_changed() -> None:
    assert changes(None, SEEN) == ["weights  v-a (champion) 100%", "rollout  idle"]
    assert changes(SEEN, replace(SEEN, at="later", config="other")) == []


def test_an_alarm_is_told_when_it_begins_to_ring_by_its_numbers_and_when_it_stops() -> None:
    words = "Threshold Crossed: 1 datapoint was received for 2 periods and 1 missing one was treated as [NonBreaching]"
    ringing = replace(SEEN, alarms=(AlarmView("e-5xx", "ALARM", words, "page", 0.48012, 0.05),))
    assert changes(SEEN, ringing) == ["alarm    e-5xx rings: value 0.4801, threshold 0.05"]
    assert changes(ringing, ringing) == []
    assert changes(ringing, SEEN) == ["alarm    e-5xx is ok again"]


def test_a_line_that_is_too_short_for_a_reason_still_has_the_evidence() -> None:
    numbers = {
        "margin": 0.02, "champion_count": 405, "champion_rate": 0.0025, "challenger_count": 45, "challenger_rate": 0,
        "evidence_worse": 0.9, "evidence_needed_worse": 60, "evidence_not_worse": 2.3, "evidence_needed_not_worse": 20,
        "lacking": 100,
    }  # fmt: skip
    reason = Reason("judge", "errors", "", numbers, Kind.NOT_YET_KNOWN, {"metric_kind": "rate"})
    whole = brief_verdict({"reason": asdict(reason)}, 400)
    assert whole == reason.text
    line = brief_verdict({"reason": asdict(reason)})
    assert len(line) <= 110
    assert line.startswith("not yet known: errors: 0.00% of 45 requests")
    assert line.endswith(" ... evidence for worse 0.9 of 60, for not worse 2.3 of 20")
    assert brief("many words; " + "of one clause " * 20).endswith(" ...")


def test_no_weight_at_all_is_no_share_and_not_an_even_split() -> None:
    def shown(*weights: float) -> list[float]:
        live = Live("ready", "c", {f"v-{place}": Variant(weight, weight, 1) for place, weight in enumerate(weights)})
        target, state = Target("local", "endpoint", "", {}), RolloutState("endpoint")
        return [
            row.weight for row in seen_at(0, target, EndpointState("InService", live), state, None, alarms=()).variants
        ]

    assert shown(0.0, 0.0) == [0.0, 0.0]
    assert shown(9.0, 1.0) == [90.0, 10.0]


def test_a_variant_that_the_journal_does_not_know_has_no_role() -> None:
    assert role("v-x", RolloutState("e")) == "-"
