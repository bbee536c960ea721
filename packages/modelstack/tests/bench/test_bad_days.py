"""Bad days, one a seed: whatever happened, each ends on a champion that has all traffic, and with a true record."""

from __future__ import annotations

import time

import pytest

from bench.bad_days.day import play

CPU_SECONDS = 4  # as many seeds as that is enough for; `python -m bench bad-days` plays ten thousand


@pytest.mark.slow
def test_every_bad_day_ends_well() -> None:
    begun, seed = time.process_time(), 0
    while time.process_time() - begun < CPU_SECONDS:
        found = play(seed)
        assert not found, f"python -m bench.bad_days {seed} tells what happened: {'; '.join(found)}"
        seed += 1
