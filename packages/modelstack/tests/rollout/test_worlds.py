"""Rules that hold in every world: see `bench.worlds`, from which worlds are drawn at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import worlds
from bench.worlds import Log, Spells, World
from modelstack.rollout.core import decision
from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.judge.metrics import Tally, Window
from modelstack.rollout.judge.verdict import judge
from modelstack.services.counters import CountedWindow, CountQuery

METRICS = ("errors", "latency_p90")


def null_world(seed: int) -> World:
    """A world at random in which versions are equal, and incidents are short compared with the trial."""
    source = np.random.default_rng((1, seed))
    spells = Spells(source.uniform(100, 900), 1, source.uniform(2, 60))
    effects = (
        partial(worlds.stalls, spells=spells, instances=((9, 1), (2, 2))[seed % 2]),
        partial(worlds.shared, spells=spells, fails=source.random()),
        partial(worlds.retries, again=source.random(), most=int(source.integers(1, 6))),
        partial(worlds.floods, spells=spells, rate=source.random(), bad=0.2 * source.random()),
        partial(worlds.users, index=source.uniform(1.5, 3)),
        partial(worlds.loaded, power=source.uniform(0, 2)),
        worlds.cold,
    )
    return World(
        tuple(effect for effect in effects if source.random() < 0.4),
        METRICS,
        rate=source.uniform(1, 5),
        minutes=int(source.integers(6, 10)),
        swing=source.uniform(0, 0.9),
        session=source.uniform(1, 5),
        warm_up=200,
        lag=int(source.integers(0, 4)),
        thin=source.random(),
        late=source.uniform(0, 0.3),
        buckets=bool(source.random() < 0.3),
    )


def judged(log: Log, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sequence[Window]]:
    """The windows that the judge compares, at each look."""
    compared: list[Sequence[Window]] = []

    def spy(windows: Sequence[Window], **rules: Any) -> Any:
        compared.append(tuple(windows))
        return judge(windows, **rules)

    monkeypatch.setattr(decision, "judge", spy)
    for _ in log.looks():
        yield compared[0]
        compared.clear()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_which_windows_and_metrics_are_compared_follows_from_no_answer_of_the_challenger(seed: int) -> None:
    world = null_world(seed)
    log, other = world.log(seed), world.log(seed)
    for sides in other._sides:
        new, source = sides[1], np.random.default_rng(seed)
        slower = new.latency * source.lognormal(2, 2, len(new.times))
        sides[1] = replace(new, failed=source.random(len(new.times)) < 0.7, latency=slower, right=~new.right)
    with pytest.MonkeyPatch.context() as patch:
        for one, changed in zip(list(judged(log, patch)), list(judged(other, patch)), strict=True):
            assert [window.start for window in one] == [window.start for window in changed]
            assert [window.champion for window in one] == [window.champion for window in changed], (
                "a failure or a slow answer counts against the version that gave it"
            )
            for before, after in zip(one, changed, strict=True):
                counts = ({name: each.count for name, each in it.challenger.items()} for it in (before, after))
                assert next(counts) == next(counts)
                assert before.challenger.keys() == before.champion.keys(), "both are compared over the same windows"


@pytest.mark.slow
def test_equal_versions_are_hardly_ever_rolled_back_under_either_label() -> None:
    ends = [[null_world(at).trial(at, swapped=label, every=3) for at in range(60)] for label in (False, True)]
    assert sum(each.count("worse") for each in ends) <= 6, "alpha of 120; it is 12 if answers count as independent"


class Hiding(Log):
    """A log that hides some counts of the last step."""

    def __init__(self, log: Log, variant: str, names: tuple[str, ...]) -> None:
        vars(self).update(vars(log))
        self.variant, self.names = variant, names

    def counts(self, query: CountQuery) -> list[CountedWindow]:
        begin, found = self.world.end * 2 / 3, list[CountedWindow]()
        for window in super().counts(query):
            tallies = dict(window.tallies)
            if window.start >= begin and self.variant in tallies:
                kept = {key: it for key, it in tallies[self.variant].items() if key.partition("@")[0] not in self.names}
                tallies[self.variant] = kept
            found.append(replace(window, tallies=tallies))
        return found


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["", "old", "new"])
@pytest.mark.parametrize("names", [("errors", "failed"), ("latency_p90",), ("errors", "failed", "latency_p90")])
def test_missing_counts_never_promote(variant: str, names: tuple[str, ...]) -> None:
    world = World(metrics=METRICS, rate=20, counters=lambda log: Hiding(log, variant, names))
    assert world.trial(1) == ("unknown" if variant else "promoted")


@given(
    st.lists(st.tuples(st.integers(0, 500), st.floats(0, 1), st.integers(0, 500)), max_size=30),
    st.floats(0, 0.1),
    st.integers(1, 3),
)
def test_a_challenger_without_a_failure_is_never_rolled_back_whatever_the_champion_does(
    seen: list[tuple[int, float, int]], margin: float, steps: int
) -> None:
    windows = [
        Window(at, 1, {"errors": Tally(old, int(old * failing))}, {"errors": Tally(new)})
        for at, (old, failing, new) in enumerate(seen)
    ]
    errors, starts = replace(KNOWN["errors"], margin=margin), [10.0 * step for step in range(steps)]
    found = judge(windows, metrics=[errors], alpha=0.05, starts=starts, segments=steps)
    assert found.answer != "worse"
    assert found.each[0].reason.numbers["evidence_worse"] <= 1
