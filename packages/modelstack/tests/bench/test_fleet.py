"""Equal models on instances that queue and pause, in whole trials."""

from __future__ import annotations

import pytest

from bench.fleet import P90, WORLDS, Fleet, trial


@pytest.mark.slow
def test_pauses_leave_slow_answers_and_equal_models_are_promoted_in_spite_of_them() -> None:
    for world in list(WORLDS.values())[:2]:
        seen = [Fleet(world, seed=1, latency=P90).minute(50) for _ in range(2)]
        assert seen[0] == seen[1], "a seed decides everything"
        assert [trial(world, seed, P90) for seed in range(2)] == ["promoted"] * 2
