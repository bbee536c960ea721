"""What each step must show by itself: the last one decides on the promotion."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from modelstack.rollout.judge.evidence import Evidence
from modelstack.rollout.judge.metrics import Metric, PromoteWhen, Tally, Window
from modelstack.rollout.judge.rates import Rates
from modelstack.rollout.judge.verdict import Findings, judge

ALPHA = 0.05
ERRORS = Metric("errors", "rate", margin=0.02)
LATER = 1500.0  # when the second of two steps begins


def rates(count: int, seen: tuple[int, int, int, int], start: float, name: str = "errors") -> list[Window]:
    n0, k0, n1, k1 = seen
    return [
        Window(start + 10 * at, 10, {name: Tally(n0, k0)}, {name: Tally(n1, k1)}) for at in range(count)
    ]  # fmt: skip


FINE = rates(150, (50, 1, 50, 1), 0.0)


def judged(
    later: list[Window], *, last: bool = True, metric: Metric = ERRORS, promote_when: PromoteWhen = "not_worse",
    earlier: list[Window] = FINE,
) -> Findings:  # fmt: skip
    windows = [*earlier, *later]
    rules = {"starts": [0.0, LATER], "segments": 2 if last else 3, "last": last}
    return judge(windows, metrics=[metric], alpha=ALPHA, promote_when=promote_when, **rules)


def test_what_fails_only_in_a_short_last_step_is_not_promoted_on_what_the_long_first_one_showed() -> None:
    findings = judged(rates(6, (6, 0, 54, 3), LATER))  # 90% of the traffic for a minute: too short to show it worse
    assert findings.answer == "unknown"
    numbers = findings.reason.numbers
    assert numbers["evidence_not_worse"] < 1
    assert findings.reason.text.endswith("of 20 in this step alone")
    assert " (in the whole trial); " in findings.reason.text


def test_an_earlier_step_goes_on_by_what_was_shown_before_as_long_as_nothing_speaks_against_it() -> None:
    assert judged(rates(3, (50, 1, 50, 1), LATER), last=False).answer == "not worse"
    findings = judged(rates(6, (6, 0, 54, 3), LATER), last=False)
    assert findings.answer == "unknown"
    assert findings.reason.text.endswith("of 20 in this step alone")
    assert " (in the whole trial); " in findings.reason.text


def test_a_last_step_of_which_nothing_is_seen_yet_has_shown_nothing() -> None:
    assert judged([]).answer == "unknown"
    assert judged([]).reason.numbers["evidence_not_worse"] == pytest.approx(1)


def test_a_last_step_that_shows_it_by_itself_passes_and_says_so() -> None:
    findings = judged(rates(20, (50, 1, 50, 1), LATER))
    assert findings.answer == "not worse"
    assert findings.reason.text.endswith(" (20 needed) in this step alone")


def test_a_first_step_that_speaks_against_it_still_counts_in_the_last() -> None:
    poor = rates(8, (50, 1, 50, 3), 0.0)
    findings = judged(rates(20, (50, 1, 50, 1), LATER), earlier=poor)
    alone = judged(rates(20, (50, 1, 50, 1), LATER))
    assert (findings.answer, alone.answer) == ("unknown", "not worse")
    assert "alone" not in findings.reason.text


@pytest.mark.slow
@pytest.mark.parametrize(("errors", "most"), [(0.03, ALPHA), (0.05, 0.01)])
def test_worse_in_the_last_step_alone_passes_it_at_most_alpha_of_the_time_however_often_it_is_looked_at(
    errors: float, most: float
) -> None:
    source = np.random.default_rng(5)
    passed = 0
    for _ in range(300):
        evidence, best = Evidence(Rates(ERRORS.margin), segments=2), -math.inf
        evidence.bet(Tally(4000, 40), Tally(4000, 40))
        evidence.restart(1)
        for _ in range(60):
            evidence.bet(Tally(20, int(source.binomial(20, 0.01))), Tally(20, int(source.binomial(20, errors))))
            best = max(best, evidence.here.not_worse)
        passed += best >= math.log(1 / ALPHA)
    assert passed / 300 <= most


def test_an_equal_challenger_passes_the_last_step_soon() -> None:
    source = np.random.default_rng(6)
    waited: list[int] = []
    for _ in range(40):
        count = 0
        evidence = Evidence(Rates(ERRORS.margin), segments=2)
        evidence.bet(Tally(4000, 40), Tally(4000, 40))
        evidence.restart(1)
        while evidence.here.not_worse < math.log(1 / ALPHA):
            evidence.bet(*(Tally(50, int(source.binomial(50, 0.01))) for _ in range(2)))
            count += 50
        waited.append(count)
    assert np.mean(waited) < 800


TINY = Metric("errors", "rate", margin=0.0001)


def test_better_over_the_whole_trial_does_not_promote_what_fails_in_the_last_step() -> None:
    better = rates(100, (50, 10, 50, 2), 0.0)
    failing = judged(rates(4, (6, 1, 54, 11), LATER), metric=TINY, promote_when="better", earlier=better)
    numbers = failing.reason.numbers
    assert numbers["evidence_better"] > numbers["evidence_needed_better"]
    assert failing.answer == "unknown"
    # A margin next to nothing takes the bets on "not worse" very long to show; those on "better" show it too.
    again = judged(rates(10, (50, 10, 50, 2), LATER), metric=TINY, promote_when="better", earlier=better)
    assert again.answer == "not worse"


def test_better_in_the_last_step_counts_from_the_whole_trial() -> None:
    better = rates(20, (50, 10, 50, 2), 0.0)
    alike = judged(rates(30, (50, 1, 50, 1), LATER), promote_when="better", earlier=better)
    assert alike.answer == "not worse"
    assert "errors better: evidence for better" in alike.reason.text


def test_a_step_that_was_interrupted_keeps_its_evidence_and_takes_none_from_another_share() -> None:
    evidence = Evidence(Rates(ERRORS.margin))
    evidence.bet(Tally(900, 9), Tally(900, 9))
    before, whole = evidence.here.not_worse, evidence.whole.not_worse
    evidence.restart(-1)
    evidence.bet(Tally(900, 9), Tally(90, 1))
    assert evidence.here.not_worse != before
    evidence.restart(0)
    assert evidence.here.not_worse == before
    assert evidence.whole.not_worse > whole
    evidence.bet(Tally(900, 9), Tally(900, 300))
    assert math.exp(evidence.worse) > 100, "what is staked in the interrupted step is still bet"


def test_windows_at_another_share_show_a_challenger_worse_and_prove_nothing_for_the_interrupted_step() -> None:
    champion = {"errors": Tally(450, 4)}
    good, bad = (champion, champion), (champion, {"errors": Tally(450, 300)})

    def found(*pairs: Any, **interrupted: Any) -> Findings:
        windows = [Window(10.0 * at, 10, *pair) for at, pair in enumerate(pairs)]
        return judge(windows, metrics=(ERRORS,), alpha=0.05, segments=2, **interrupted)

    apart: dict[str, Any] = {"starts": (0.0, 20.0, 80.0), "steps": (1, 0, 1)}
    assert found(*[good] * 8).answer == "not worse"
    assert found(*[good] * 8, **apart).answer == "unknown"
    assert found(*[good] * 16, **apart).answer == "not worse"
    assert found(*[good] * 2, *[bad] * 6, **apart).answer == "worse"
    assert found(*[good] * 2, *[bad] * 6, **apart | {"steps": (1, -1, 1)}).answer == "unknown"
