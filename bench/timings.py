"""How long do the checks take, and how long is the code? What the checkout's own runs and files tell.

make timings                                      # the last whole run of each check; lines of each room
make timings SINCE=<revision>                     # the lines beside those of a revision
python -m bench.timings "make check" COMMAND ...  # runs a command, and keeps how long it took when it succeeds
    python -m bench.timings --keep .ci/run 1000       # keeps the seconds of a run
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / ".modelstack" / "timings.json"
GOALS = {"make check": 60, "make test": 600, ".ci/run": 1800}
"""Seconds, on two cores, once set-up has run."""


def timed(name: str, command: list[str]) -> int:
    """Run a command to its end, and keep its time under a name; its status."""
    begun = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT)
    while True:
        try:
            status = process.wait()
            break
        except KeyboardInterrupt:  # a terminal's Ctrl-C reaches the command, too, which ends in its own time
            continue
    if status == 0:
        keep(name, time.monotonic() - begun)
    return status


def keep(name: str, seconds: float) -> None:
    """Keep how long a run took."""
    runs = kept() | {name: {"seconds": round(seconds), "at": time.strftime("%Y-%m-%d %H:%M")}}
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(runs, indent=1))


def kept() -> dict[str, dict[str, int | str]]:
    """The last whole run of each name."""
    return json.loads(KEPT.read_text()) if KEPT.exists() else {}


def lines(revision: str = "") -> Counter[tuple[str, str]]:
    """Lines of Python by room and kind, `source` or `tests`, in the work tree or a revision."""
    words = ["git", "grep", "-c", *([] if revision else ["--untracked"]), "-e", "", *([revision] if revision else [])]
    found: Counter[tuple[str, str]] = Counter()
    for line in subprocess.check_output([*words, "--", "*.py"], cwd=ROOT, text=True).splitlines():
        path, _, number = line.removeprefix(f"{revision}:").rpartition(":")
        room, *inside = path.split("/")
        if room == "tests":
            room, kind = inside[0] if len(inside) > 1 else "(all)", "tests"
        else:
            kind = "tests" if "tests" in inside else "source"
        found[room, kind] += int(number)
    return found


def main(arguments: list[str]) -> int:
    """Run a command, or print."""
    if arguments[:1] == ["--keep"]:
        keep(arguments[1], float(arguments[2]))
        return 0
    if len(arguments) > 1:
        return timed(arguments[0], arguments[1:])
    runs = kept()
    for name, goal in GOALS.items():
        run = runs.get(name)
        told = f"{run['seconds']:>6} s  goal: {goal} s at most; {run['at']}" if run else "no whole run yet"
        print(f"{name:<12}{told}")
    now, before = lines(), lines(arguments[0]) if arguments else Counter[tuple[str, str]]()
    print(f"\n{'lines of':<14}{'source':>8}{'tests':>8}" + (f"   in {arguments[0]}:" if arguments else ""))
    for room in [*sorted({room for room, _ in now + before}), "sum"]:
        cells = [
            sum(count for (one, of), count in each.items() if of == kind and room in (one, "sum"))
            for each in ([now, before] if arguments else [now])
            for kind in ("source", "tests")
        ]
        print(f"{room:<14}" + "".join(f"{cell:>8,}" for cell in cells))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
