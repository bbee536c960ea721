"""Answers that depend on each other are worth fewer; how many fewer is learned from the blocks before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.rollout.core.catalogue import metric
from modelstack.rollout.judge.dependence import Block, Dependence
from modelstack.rollout.judge.metrics import Metric, Tally, Window
from modelstack.rollout.judge.verdict import judge

ANSWERS = 200  # of each version in a block of one window


def block(champion: float, challenger: float, windows: int = 1) -> Block:
    old, new = (round(ANSWERS * share) for share in (champion, challenger))
    return Block(Tally(ANSWERS, old, old), Tally(ANSWERS, new, new), windows)


def binomial(source: np.random.Generator, blocks: int, *, shares: np.ndarray) -> Iterator[Block]:
    for at in range(blocks):
        old, new = (int(source.binomial(ANSWERS, share)) for share in shares[at])
        yield Block(Tally(ANSWERS, old, old), Tally(ANSWERS, new, new), 1)


def worth_after(blocks: Iterator[Block]) -> float:
    """How many independent answers a window of the challenger is worth, once these were seen."""
    dependence = Dependence("rate")
    for each in blocks:
        dependence.learn(each)
    return dependence.worth(block(0.05, 0.05))[1].count


def test_before_anything_is_known_answers_are_worth_what_the_guess_says() -> None:
    for kind, rho in (("rate", 0.01), ("quantile", 0.03), ("mean", 0.01)):
        old, new = Dependence(kind).worth(block(0.1, 0.2))
        effect = 1 + (ANSWERS - 1) * rho
        assert (old.count, old.total) == pytest.approx((ANSWERS / effect, 20 / effect))
        assert (new.count, new.total, new.squares) == pytest.approx((ANSWERS / effect, 40 / effect, 40 / effect))


def test_answers_of_many_windows_with_few_each_are_hardly_worth_less() -> None:
    _, new = Dependence("rate").worth(Block(Tally(100, 1, 1), Tally(100, 1, 1), 100))
    assert new.count > 95


def test_independent_answers_are_worth_nearly_all_in_the_end() -> None:
    source = np.random.default_rng(1)
    worth = worth_after(binomial(source, 60, shares=np.full((60, 2), 0.05)))
    assert 0.5 * ANSWERS < worth <= ANSWERS


@pytest.mark.parametrize("rho", [0.05, 0.2])
def test_answers_that_share_what_happens_in_their_window_are_worth_what_kish_says(rho: float) -> None:
    source, rate = np.random.default_rng(2), 0.1
    a, b = rate * (1 / rho - 1), (1 - rate) * (1 / rho - 1)  # beta-binomial: its intraclass correlation is rho
    worth = worth_after(binomial(source, 200, shares=source.beta(a, b, (200, 2))))
    assert ANSWERS / (1 + (ANSWERS - 1) * rho) == pytest.approx(worth, rel=0.5)


def test_a_trouble_of_many_windows_makes_answers_worth_less_than_one_of_a_single_window() -> None:
    source = np.random.default_rng(3)
    single = source.choice([0.01, 0.3], (160, 2), p=[0.8, 0.2])
    long = np.repeat(source.choice([0.01, 0.3], (40, 2), p=[0.8, 0.2]), 4, axis=0)
    assert worth_after(binomial(source, 160, shares=long)) < 0.7 * worth_after(binomial(source, 160, shares=single))


def test_the_version_whose_windows_differ_more_counts_for_both() -> None:
    source = np.random.default_rng(4)
    shares = np.full((60, 2), 0.05)
    shares[::10, 1] = 0.4
    assert worth_after(binomial(source, 60, shares=shares)) < 0.2 * ANSWERS
    assert worth_after(binomial(source, 60, shares=shares[:, ::-1])) < 0.2 * ANSWERS


def test_what_troubles_both_versions_alike_makes_no_answer_worth_less() -> None:
    source = np.random.default_rng(5)
    shares = np.repeat(source.choice([0.05, 0.4], (60, 1), p=[0.8, 0.2]), 2, axis=1)
    assert worth_after(binomial(source, 60, shares=shares)) > 0.5 * ANSWERS


@pytest.mark.parametrize(("worse", "answer"), [(0.0, "not worse"), (0.2, "worse")])
def test_days_that_are_hard_for_both_versions_hide_no_difference(worse: float, answer: str) -> None:
    log_loss, source = metric("log_loss", margin=0.1, prove=True), np.random.default_rng(6)
    seen: list[Window] = []
    hard = 0.0
    for at in range(40):
        hard = 0.7 * hard + 0.15 * source.standard_normal()
        losses = (source.gamma(1.2, max(0.05, 0.55 + hard + more) / 1.2, 100).clip(0, 5) for more in (0.0, worse))
        old, new = ({"log_loss": Tally(100, each.sum(), (each**2).sum())} for each in losses)
        seen.append(Window(60.0 * at, 60, old, new))
    assert judge(seen, metrics=[log_loss], alpha=0.05).answer == answer


def test_a_step_is_not_compared_with_the_one_before() -> None:
    dependence, apart = Dependence("rate"), Dependence("rate")
    for each in (0.05, 0.5):
        for _ in range(6):
            dependence.learn(block(0.05, each))
            apart.learn(block(0.05, each))
        apart.restart()
    assert apart.worth(block(0.1, 0.1))[0].count > 5 * dependence.worth(block(0.1, 0.1))[0].count


def test_windows_in_which_nothing_happened_do_not_tell_that_answers_are_independent() -> None:
    assert worth_after(iter([block(0.0, 0.0)] * 100)) == Dependence("rate").worth(block(0.05, 0.05))[1].count


ERRORS = Metric("errors", "rate", margin=0.02)


def windows(*seen: tuple[int, int]) -> list[Window]:
    return [Window(60.0 * at, 60, {"errors": Tally(900, 1)}, {"errors": Tally(*side)}) for at, side in enumerate(seen)]


def test_one_window_never_decides_and_two_may() -> None:
    bad = 100, 100
    assert judge(windows(bad), metrics=[ERRORS], alpha=0.05).answer == "unknown"
    assert judge(windows(bad, bad), metrics=[ERRORS], alpha=0.05).answer == "worse"


@pytest.mark.parametrize("bad", [(100, 30), (100, 100)])
def test_a_short_run_of_bad_windows_in_mid_step_does_not_decide_and_a_longer_one_does(bad: tuple[int, int]) -> None:
    fine = [(100, 1)] * 10
    assert judge(windows(*fine, *[bad] * 5), metrics=[ERRORS], alpha=0.05).answer == "unknown"
    assert judge(windows(*fine, *[bad] * 10), metrics=[ERRORS], alpha=0.05).answer == "worse"


@pytest.mark.parametrize(("begins", "answer"), [(10, "worse"), (9, "unknown")])
def test_a_failure_that_begins_with_a_step_is_found_in_two_windows_and_not_one_that_began_before(
    begins: int, answer: str
) -> None:
    seen = windows(*[(100, 1)] * begins, *[(100, 100)] * (12 - begins))
    assert judge(seen, metrics=[ERRORS], alpha=0.05, starts=[0.0, 600.0], segments=2).answer == answer


def test_short_runs_of_bad_windows_that_come_again_are_found() -> None:
    again = windows(*([(100, 1)] * 5 + [(100, 30)] * 2) * 6)
    assert judge(again, metrics=[ERRORS], alpha=0.05).answer == "worse"


@pytest.mark.parametrize("before", [0, 20, 100])
def test_a_failure_that_begins_late_in_a_step_is_found_soon(before: int) -> None:
    late = windows(*[(100, 0)] * before, *[(100, 60)] * (4 + before // 10))
    assert judge(late, metrics=[ERRORS], alpha=0.05).answer == "worse"


Moves = tuple[float, float, float, bool]


def correlation(steps: Sequence[Sequence[Block]], guess: float) -> float:
    """What the blocks of some steps tell, reckoned from all of them at once."""
    levels: list[list[tuple[Moves, ...]]] = [
        [],
        [],
        [],
        [],
    ]  # of each pair: the champion's, the challenger's and their difference's
    known = [Block(Tally(1, 0.02, 0.02), Tally(1, 0.02, 0.02), 1)]  # an answer before any was seen
    for step in steps:
        for level, size in zip(levels, (1, 2, 4, 8), strict=True):
            for begin in range(0, len(step) - 2 * size + 1, size):
                middle, end = begin + size, begin + 2 * size
                old, new = (moves(step[begin:middle], step[middle:end], known + step[:end], side) for side in (0, 1))
                apart = new[0] - old[0], old[1] + new[1], old[2] + new[2], old[3] or new[3]
                level.append((old, new, apart))
        known = known + step
    champion, challenger, difference = (
        greatest([[pair[which] for pair in level] for level in levels], guess) for which in range(3)
    )
    return min(max(champion, challenger), 2 * difference)


def moves(before: Sequence[Block], after: Sequence[Block], known: Sequence[Block], side: int) -> Moves:
    """Of one version: how much its mean moves, the variance that this should have, what may be added, if it tells."""
    n0, n1 = (sum(block[side].count for block in group) for group in (before, after))
    sum0, sum1 = (sum(block[side].total for block in group) for group in (before, after))
    count, total = (sum(getattr(block[side], name) for block in known) for name in ("count", "total"))
    variance = max(total / count - (total / count) ** 2, 1e-9)  # of zeros and ones
    windows = [sum(block.windows for block in group) for group in (before, after)]
    groups = [groups_of(count, size) for count, size in zip((n0, n1), windows, strict=True)]
    beyond = max(1 / groups[0] - 1 / n0, 0.0) + max(1 / groups[1] - 1 / n1, 0.0)
    return sum1 / n1 - sum0 / n0, variance * (1 / n0 + 1 / n1), variance * beyond, 0 < sum0 + sum1 < n0 + n1


def groups_of(answers: float, windows: int) -> float:
    """Groups of answers that an incident affects together: windows, but none of fewer than five answers."""
    return min(windows, max(1.0, answers / 5))


def greatest(levels: Sequence[Sequence[Moves]], guess: float) -> float:
    found = [0.0]
    for at, pairs in enumerate(levels):
        excess = sum(moved**2 / expected - 1 for moved, expected, _, _ in pairs)
        size = sum(beyond / expected for _, expected, beyond, _ in pairs)
        telling = sum(pair[3] for pair in pairs)
        if size > 0 and (at == 0 or telling >= 4):
            guess = max((2 * guess + telling * excess / size) / (2 + telling), 0.0)
        found.append(guess)
    return max(found)


one_side = st.integers(1, 200).flatmap(
    lambda count: st.builds(lambda ones: Tally(count, ones, ones), st.integers(0, count))
)
any_blocks = st.lists(st.builds(Block, one_side, one_side, st.integers(1, 40)), max_size=40)


@pytest.mark.slow
@given(st.lists(any_blocks, min_size=1, max_size=3), st.builds(Block, one_side, one_side, st.integers(1, 40)))
def test_what_is_learned_block_by_block_is_what_all_blocks_at_once_tell(steps: list[list[Block]], last: Block) -> None:
    dependence = Dependence("rate")
    for step in steps:
        dependence.restart()
        dependence.in_turn(step)
    rho = correlation(steps, 0.01)
    before = steps[-1]
    sides = (last.champion, last.challenger)
    expected = [float(side.count) for side in sides]
    if before:
        windows = sum(block.windows for block in before)
        rates = [sum(block[side].count for block in before) / windows for side in (0, 1)]
        growth = max(1.0, sum(expected) / last.windows / sum(rates))
        expected = [rate * last.windows * growth for rate in rates]
    for tally, count, worth in zip(sides, expected, dependence.worth(last), strict=True):
        effect = 1 + max(count / groups_of(count, last.windows) - 1, 0) * rho
        assert (worth.count, worth.total, worth.squares) == pytest.approx(
            (tally.count / effect, tally.total / effect, tally.squares / effect), rel=1e-6
        )


@given(any_blocks)
def test_a_block_is_worth_what_was_known_before_it(seen: list[Block]) -> None:
    before = []
    for at, block in enumerate(seen):
        dependence = Dependence("quantile")
        dependence.in_turn(seen[:at])
        before.append(dependence.worth(block))
    assert Dependence("quantile").in_turn(seen) == before


@given(any_blocks)
def test_exchanged_versions_exchange_what_their_answers_are_worth(seen: list[Block]) -> None:
    exchanged = [Block(block.challenger, block.champion, block.windows) for block in seen]
    expected = [(old, new) for new, old in Dependence("rate").in_turn(exchanged)]
    assert Dependence("rate").in_turn(seen) == expected
