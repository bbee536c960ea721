"""Does the controller end well whatever happens? Bad days in a simulated cloud, one a seed; no cloud is needed.

python -m bench controller
"""

from __future__ import annotations

from bench.rows import Row
from tests.simulator.fuzz import play

SEEDS = 10_000


def rows(seeds: int = SEEDS) -> list[Row]:
    """How many of the bad days did not end on a champion with all traffic and a true record."""
    failed = [seed for seed in range(seeds) if play(seed)]
    which = f": {', '.join(map(str, failed[:5]))}" if failed else ""
    what = f"of {seeds:,} seeds{which}; `python -m tests.simulator.fuzz SEED` tells what happened"
    return [Row("bad_days_not_ended_well", len(failed), "seeds", "== 0", what)]
