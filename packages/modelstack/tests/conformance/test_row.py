"""What the driver of the rows finds wrong: each part of an end, and every lost request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelstack.rollout.core.live import Live, Variant
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.reason import Reason
from tests.conformance.row import Expected, Loses, Played, Row, differences, wrong
from tests.conformance.stage import Message
from tests.platforms.load import Asked

EXPECTED = Expected(
    "rolled_back", "alarm", ("v-challenger-5xx",), "champion", {"champion": "Approved"}, says="fires",
    fails=frozenset({"challenger"}), silent=frozenset({"next"}), ignored=True,
)  # fmt: skip
VERDICT = Verdict(
    "rolled_back",
    Reason("alarm", "row-test-v-challenger-5xx", "it fires"),
    "000002-challenger",
    "challenger",
    "r",
    "d",
    9,
)
PLAYED = Played(
    state=RolloutState("row-test", phase=Phase.IDLE, verdict=VERDICT),
    live=Live("ready", "solo", {"v-champion": Variant(1, 1, 1)}),
    configs={"champion": "solo"},
    packages={"champion": "Approved"},
    told=[Message("", {"why": "it fires"})],
    asked=[Asked("1", 1, 200, "v-champion"), Asked("2", 2, 500, "v-challenger"), Asked("3", 11, 200, "v-champion")],
    over=10,
    ran=[{"action": "ignored"}],
)


def test_an_end_as_expected_has_no_differences() -> None:
    assert differences(EXPECTED, PLAYED) == []


def test_another_may_have_seen_the_same_first_and_then_names_what_it_saw() -> None:
    either = replace(EXPECTED, source="judge", names=("errors",), says="worse", or_by=("alarm", "v-challenger-5xx"))
    assert differences(either, PLAYED) == []
    (found,) = differences(replace(either, or_by=("alarm", "v-challenger-p99")), PLAYED)
    assert "expected v-challenger-p99" in found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": RolloutState("row-test")}, "there is no verdict"),
        ({"packages": {"champion": "Rejected"}}, "packages {'champion': 'Rejected'}"),
        ({"configs": {"champion": "other"}}, "with solo, expected other"),
        ({"live": replace(PLAYED.live, status="changing")}, "the endpoint is"),
        ({"live": replace(PLAYED.live, variants={"v-champion": Variant(1, 1, 1), "v-b": Variant(1, 1, 1)})}, "weights"),
        ({"asked": [*PLAYED.asked, Asked("4", 3, 500, "v-champion")]}, "1 of 4 requests lost"),
        ({"asked": [*PLAYED.asked, Asked("4", 3, 503, "")]}, "1 of 4 requests lost"),
        ({"asked": [*PLAYED.asked, Asked("4", 3, 0, "")]}, "1 of 4 requests lost"),
        ({"asked": PLAYED.asked[:2]}, "after the end 0 answers"),
        ({"asked": [*PLAYED.asked, Asked("4", 12, 200, "v-challenger")]}, "after the end 2 answers"),
        ({"asked": [*PLAYED.asked, Asked("4", 3, 200, "v-next")]}, "next answered 1 requests, expected none"),
        ({"told": [*PLAYED.told, *PLAYED.told]}, "told 2 times"),
        ({"told": [Message("", {"why": "because"})]}, "no notification says 'it fires'"),
        ({"ran": []}, "expected it to ignore every event"),
        ({"ran": [{"action": "rolled back"}]}, "expected it to ignore every event"),
    ],
)
def test_each_difference_is_told(changes: dict[str, Any], words: str) -> None:
    found = differences(EXPECTED, replace(PLAYED, **changes))
    assert len(found) == 1
    assert words in found[0]


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (replace(EXPECTED, outcome="promoted"), "verdict ('rolled_back', 'alarm')"),
        (replace(EXPECTED, source="judge"), "verdict ('rolled_back', 'alarm')"),
        (replace(EXPECTED, names=("errors",)), "the verdict names"),
        (replace(EXPECTED, says="worse"), "expected 'worse' in it"),
        (replace(EXPECTED, fails=frozenset()), "1 of 3 requests lost"),
    ],
)
def test_each_expectation_counts(expected: Expected, words: str) -> None:
    found = differences(expected, PLAYED)
    assert len(found) == 1
    assert words in found[0]


def test_a_row_may_have_two_ends_and_lose_some_requests_and_shows_what_it_says() -> None:
    row = Row("r", "it happens", replace(EXPECTED, source="judge"), either=EXPECTED, loses=Loses("some", 1))
    lost = [Asked("4", 3, 503, "")]
    assert wrong(row, replace(PLAYED, lost=lost)) == []
    found = wrong(row, replace(PLAYED, lost=2 * lost, unseen="no Event"))
    assert [words.partition(",")[0].partition(":")[0] for words in found] == [
        "2 requests lost", "a person does not see what the row says",
    ]  # fmt: skip
