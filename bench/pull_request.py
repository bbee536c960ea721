"""The comment on a pull request with three changes: its seconds, and the example in docs/reference/pull-request.md.

    python -m bench.pull_request --write      # `make example`; without --write it is printed

A stack `local` is brought up in a local cloud of its own, and asked for a minute. Then a copy of this checkout gets
a change of a parameter, a new feature, and a change of the infrastructure; and `modelstack pr-report` runs in it, as it
does in CI.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from bench import ROOT
from bench.bed import Bed, BenchError, bed, import_path, must
from bench.rows import Row, sized
from modelstack.cli.replay import background
from modelstack.pipeline.build import shared

PAGE = ROOT / "docs" / "reference" / "pull-request.md"
_USUAL = {"folds": 0, "train_from": "2013-02-01", "evaluate_until": "2013-03-15"}
ASKED = 60.0
"""Seconds."""
RATE = 20.0
"""Requests a second."""
_HEAD = """# A comment on a pull request

This page is made by `make example`, from a pull request with three changes to the default model on stack `local`:

- a parameter: `max_iter` from 60 to 90;
- a feature: `flights_in_hour`, the number of flights that are scheduled to leave the same airport in the same hour;
- the infrastructure: two instances, not one, and retraining, which is off by default.

So that this takes minutes, the model learns from February alone before and after, and the size of its trees is not
chosen anew. [Review a pull request](../how-to/pull-requests.md) tells what each part means. Below the line is the
comment as `modelstack pr-report` wrote it.

---

"""
_ROOMS = ("infra", "model", "policy", "requirements", "stacks")
_FILES = ("Pulumi.yaml", "localcloud.toml", "pyproject.toml")
_FEATURE = """    "flights_in_hour": {"unit": "flights scheduled at the origin in the hour", "low": 1, "high": 200},
}
NAMES"""
_COUNTED = """            "flights_in_hour": flights.groupby(["origin", "time_hour"]).flight.transform("size") * 1.0,
            "late":"""


def changed(root: Path) -> Path:
    """Copy this checkout, make the three changes in it, and return its stack file.

    Args:
        root: A new folder.
    """
    for room in _ROOMS:
        shutil.copytree(ROOT / room, root / room, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for file in _FILES:
        shutil.copy(ROOT / file, root)
    (root / ".venv").symlink_to(ROOT / ".venv")
    _edit(root / "model" / "features.py", "}\nNAMES", _FEATURE)
    _edit(root / "model" / "data.py", '            "late":', _COUNTED)
    path = root / "stacks" / "Pulumi.local.yaml"
    content = yaml.safe_load(path.read_text())
    config = content["config"]
    config["modelstack:model"]["parameters"] |= {**_USUAL, "max_iter": 90}
    config["modelstack:serving"]["instance_count"] = 2
    config["modelstack:retraining"] = {"enabled": True}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def _edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    if text.count(before) != 1:
        raise BenchError(f"{path.name} has {before!r} {text.count(before)} times, expected once")
    path.write_text(text.replace(before, after))


def rows(bed: Bed) -> list[Row]:
    """Report twice on one checkout: the second time its model is built already, and only the report is left."""
    root = bed.folder / "pull-request"
    changed(root)
    spent, built = [], list[int]()
    for _ in range(sized(2, 1)):
        begun = time.monotonic()
        reported(bed, root)
        spent.append(time.monotonic() - begun)
        built.append(len(list((shared() / "packages").iterdir())))
    return [
        Row("pr_report_s", round(spent[-1], 1), "s", "< 90", f"the whole command; {spent[0]:.1f} s with training"),
        Row("pr_report_trained_again", built[-1] - built[0], "models", "== 0", "by the second report"),
    ]


def comment(made: Bed) -> str:
    """Bring the stack up, ask it, and write the comment on the changes."""
    must(made.stack.with_parameters(made.folder, **_USUAL).up(), "pulumi up")
    target = made.target()
    with background(target, RATE):
        time.sleep(ASKED)
    root = made.folder / "checkout"
    changed(root)
    return reported(made, root)


def reported(made: Bed, root: Path) -> str:
    """The comment of `modelstack pr-report` on a checkout, as CI runs it."""
    out = made.folder / "comment.md"
    out.unlink(missing_ok=True)
    environment = {**os.environ, **made.environment, "PYTHONPATH": import_path(root)}
    command = [sys.executable, "-m", "modelstack.cli.main", "--stack", "local", "pr-report", "--out", str(out)]
    done = subprocess.run(command, cwd=root, env=environment, stdout=sys.stderr, check=False)
    if not out.exists():
        raise BenchError(f"modelstack pr-report ended with {done.returncode} and wrote nothing")
    return out.read_text()


def main(arguments: list[str]) -> None:
    """Make the page, and print or write it."""
    with bed() as made:
        text = _HEAD + comment(made)
    if "--write" in arguments:
        PAGE.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
