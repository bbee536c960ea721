"""Plays bad days by their seeds.

python -m bench.bad_days 17          # plays seed 17, and tells what happened
python -m bench.bad_days 0 10000     # plays so many seeds from the first, and names those that do not end well
"""

from __future__ import annotations

import sys

from bench.bad_days.day import play


def main(given: list[str]) -> int:
    """Play one seed and tell of it, or many and name those that do not end well; 1 when there are any."""
    first, many = int(given[0]), int(given[1]) if len(given) > 1 else 1
    failed = 0
    for seed in range(first, first + many):
        found = play(seed, print) if many == 1 else play(seed)
        failed += bool(found)
        if found:
            print(f"seed {seed}: {'; '.join(found)}", flush=True)
    print(f"{failed} of {many} seeds did not end well")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
