"""Duration of the checks and lines of code, compared with `budgets.toml`.

make timings                                      # last whole run of each check, lines of each folder, slowest tests
make timings SINCE=<revision>                     # the same, with the lines of a revision alongside
python -m bench.timings --check                   # fails when a folder has more lines than its budget
python -m bench.timings --budgets                 # the current lines, in the form of budgets.toml
python -m bench.timings --run "make check" CMD..  # runs a command, and records its duration when it succeeds
python -m bench.timings --record .ci/run 1000     # records the duration of a run, in seconds
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / ".modelstack" / "timings.json"
DURATIONS = ROOT / ".modelstack" / "durations"
"""Each file holds the seconds of each test of a suite, by its node id; packages/modelstack/tests/durations.py
writes it.
"""
KINDS = ("source", "tests")
_PREFIXES = ("packages/modelstack/src/modelstack/", "packages/modelstack/src/", "packages/modelstack/", "packages/")
"""Folders are named without these."""
SLOWEST = 40

Lines = Counter[tuple[str, str]]
"""Lines of Python by kind and folder; a folder of packages/modelstack/tests has the name of the folder that
it tests.
"""


@dataclass(frozen=True)
class Budgets:
    """What `budgets.toml` allows.

    Attributes:
        seconds: Command -> most seconds, on two cores, once set-up has run.
        lines: Kind -> row -> most lines. A row names folders ("a + b"), or all of them but some ("all without a, b").
    """

    seconds: dict[str, int]
    lines: dict[str, dict[str, int]]

    @classmethod
    def read(cls, path: Path = ROOT / "budgets.toml") -> Budgets:
        """Parse the file."""
        document = tomllib.loads(path.read_text())
        return cls(document["seconds"], {kind: document[kind] for kind in KINDS})


def covers(row: str, folder: str) -> bool:
    """Whether a row of a budget counts the files of a folder."""
    included, _, excluded = row.partition(" without ")
    return (included == "all" or _within(folder, included.split(" + "))) and not _within(folder, excluded.split(", "))


def _within(folder: str, parents: Iterable[str]) -> bool:
    return any(folder == parent or folder.startswith(f"{parent}/") for parent in parents)


def total(lines: Lines, kind: str, row: str) -> int:
    """Lines that a row of a budget counts."""
    return sum(count for (of, folder), count in lines.items() if of == kind and covers(row, folder))


def violations(lines: Lines, budgets: Budgets) -> list[str]:
    """Rows over their budget, and folders without one; each message says what to do."""
    rows = {(kind, row): most for kind, each in budgets.lines.items() for row, most in each.items()}
    over = [
        f"{row}: {now:,} lines of {kind}, budget {most:,}. Remove {now - most:,}, or edit budgets.toml and give the "
        "reason on the same line."
        for (kind, row), most in rows.items()
        if (now := total(lines, kind, row)) > most
    ]
    folders = {(kind, folder.partition("/")[0]) for kind, folder in lines}
    return over + [
        f"{folder}: {total(lines, kind, folder):,} lines of {kind} have no budget. Add `{folder}` to [{kind}] in "
        "budgets.toml."
        for kind, folder in sorted(folders - rows.keys())
    ]


def count_lines(revision: str = "") -> Lines:
    """Count the lines of Python in the work tree, or in a revision."""
    words = ["git", "grep", "-c", *([] if revision else ["--untracked"]), "-e", "", *([revision] if revision else [])]
    found: Lines = Counter()
    for line in subprocess.check_output([*words, "--", "*.py"], cwd=ROOT, text=True).splitlines():
        path, _, number = line.removeprefix(f"{revision}:").rpartition(":")
        file = ROOT / path
        for prefix in _PREFIXES:
            path = path.removeprefix(prefix)
        parts = path.split("/")[:-1] or ["modelstack"]
        kind = "tests" if "tests" in parts else "source"
        folder = "/".join(parts[1:] if parts[:1] == ["tests"] and parts[1:] else parts)
        if revision or file.exists():
            found[kind, folder] += int(number)
    return found


def run(name: str, command: list[str]) -> int:
    """Run a command to its end, and record its duration if it succeeds; its status."""
    begun = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT)
    while True:
        try:
            status = process.wait()
            break
        except KeyboardInterrupt:  # a terminal's Ctrl-C reaches the command, too, which ends in its own time
            continue
    if status == 0:
        record(name, time.monotonic() - begun)
    return status


def record(name: str, seconds: float) -> None:
    """Store the duration of a run."""
    runs = read_runs() | {name: {"seconds": round(seconds), "at": time.strftime("%Y-%m-%d %H:%M")}}
    RUNS.parent.mkdir(exist_ok=True)
    RUNS.write_text(json.dumps(runs, indent=1))


def read_runs() -> dict[str, dict[str, int | str]]:
    """The last whole run of each command."""
    return json.loads(RUNS.read_text()) if RUNS.exists() else {}


def slowest(folder: Path = DURATIONS) -> list[tuple[float, str]]:
    """Seconds and node id of the slowest tests of the last run of each suite."""
    durations: dict[str, float] = {}
    for file in sorted(folder.glob("*.json")):
        durations |= json.loads(file.read_text())
    return sorted(((seconds, test) for test, seconds in durations.items()), reverse=True)[:SLOWEST]


def render(revision: str) -> list[str]:
    """The lines that `make timings` prints; with those of a revision unless it is empty."""
    budgets, runs, text = Budgets.read(), read_runs(), list[str]()
    for name, most in budgets.seconds.items():
        if name not in runs:
            text.append(f"{name:<12}no whole run yet; budget: {most} s")
            continue
        seconds = int(runs[name]["seconds"])
        over = f", {seconds - most} s over it" if seconds > most else ""
        text.append(f"{name:<12}{seconds:>6} s  budget: {most} s{over}; {runs[name]['at']}")

    sides = {"now": count_lines()} | ({revision: count_lines(revision)} if revision else {})
    folders = {folder.partition("/")[0] for side in sides.values() for _, folder in side}
    rows = sorted(folders) + [row for row in budgets.lines["source"] | budgets.lines["tests"] if row not in folders]
    width = max(map(len, rows))
    text += ["", " " * width + "".join(f"{f'source {name}':>20}{f'tests {name}':>20}" for name in sides)]
    for row in [*rows, "all"]:
        cells = [total(side, kind, row) for side in sides.values() for kind in KINDS]
        text.append(f"{row:<{width}}" + "".join(f"{cell:>20,}" for cell in cells))

    if tests := slowest():
        text += ["", f"the slowest {len(tests)} tests:", *(f"{seconds:>7.1f} s  {test}" for seconds, test in tests)]
    return text


def render_budgets(lines: Lines, budgets: Budgets) -> list[str]:
    """The tables of lines in `budgets.toml`, with the current lines rounded up to the next 50."""
    text: list[str] = []
    for kind in KINDS:
        folders = {folder.partition("/")[0] for of, folder in lines if of == kind}
        rows = sorted(folders) + [row for row in budgets.lines[kind] if row not in folders]
        text += ["", f"[{kind}]", *(f'"{row}" = {-(-total(lines, kind, row) // 50) * 50}' for row in rows)]
    return text[1:]


def main(arguments: list[str]) -> int:
    """Do what the module's text says."""
    match arguments:
        case ["--run", name, *command]:
            return run(name, command)
        case ["--record", name, seconds]:
            record(name, float(seconds))
        case ["--budgets"]:
            print("\n".join(render_budgets(count_lines(), Budgets.read())))
        case ["--check"]:
            for message in (over := violations(count_lines(), Budgets.read())):
                print(message, file=sys.stderr)
            return 1 if over else 0
        case _:
            print("\n".join(render("".join(arguments))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
