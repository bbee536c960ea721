"""How long an update takes: the first on an empty cloud, and one with no changes, beside an empty program's."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench import ROOT
from bench.bed import Bed, BenchError, must
from bench.rows import Row, sized
from localcloud.setup import POLICY_PACK
from modelstack.cli.local.stack import Stack

_REPEATS = 5


def first_up(bed: Bed) -> list[Row]:
    """The first update of the stack on an empty local cloud: trains, seals, registers, serves."""
    begun = time.monotonic()
    done = must(bed.stack.up(on_line=_training(marks := {})), "the first pulumi up")
    whole = time.monotonic() - begun
    training = marks.get("trained", begun) - marks.get("began", begun)
    made = re.search(r"^\s*\+ (\d+) created$", done.output, re.MULTILINE)
    if made is None:
        raise BenchError(f"the first update does not say how many resources it made:\n{done.output[-2000:]}")
    return [
        Row("first_up_s", round(whole, 1), "s", "<= 60", f"training {training:.1f} s of it"),
        Row("resources_first_release", int(made[1]), "resources", "<= 70", "components and the stack itself included"),
    ]


def _training(marks: dict[str, float]) -> Callable[[str], None]:
    def see(line: str) -> None:
        if "Package package creating" in line:
            marks.setdefault("began", time.monotonic())
        if "Package package created" in line:
            marks.setdefault("trained", time.monotonic())

    return see


def no_op_up(bed: Bed) -> list[Row]:
    """`pulumi up` with no changes over an empty program's, medians of alternating runs."""
    empty = _empty(bed)
    must(empty.up(), "pulumi up of the empty program")
    ours, theirs = [], []
    for _ in range(sized(_REPEATS, 1)):
        ours.append(unchanged_up(bed.stack))
        theirs.append(unchanged_up(empty))
    mine, peer = statistics.median(ours), statistics.median(theirs)
    return [
        Row("noop_up_ratio", round(mine / peer, 2), "ratio", "<= 2", f"{mine:.2f} s over empty program {peer:.2f} s")
    ]


def preview(bed: Bed) -> list[Row]:
    """`pulumi preview` with an unchanged recipe, so that nothing is trained, over an empty program's: medians.

    Both without the policy pack: `policy_preview` tells what that adds.
    """
    empty = _empty(bed)
    must(empty.up(), "pulumi up of the empty program")
    ours, theirs = [], []
    for _ in range(sized(_REPEATS, 1)):
        ours.append(_unchanged(_unjudged(bed.stack)))
        theirs.append(_unchanged(_unjudged(empty)))
    mine, peer = statistics.median(ours), statistics.median(theirs)
    beside = f"{mine:.2f} s over empty program {peer:.2f} s"
    return [Row("preview_ratio", round(mine / peer, 2), "ratio", "<= 2.5", beside)]


def policy_preview(bed: Bed) -> list[Row]:
    """What the policy pack adds to a preview with no changes: the median difference of pairs that follow each other."""
    without = _unjudged(bed.stack)
    pairs = [
        (_previewed(bed.stack, asked=True), _previewed(without, asked=False)) for _ in range(sized(2 * _REPEATS, 1))
    ]
    added = statistics.median(mine - peer for mine, peer in pairs)
    mine, peer = (statistics.median(spent) for spent in zip(*pairs, strict=True))
    return [Row("policy_preview_s", round(added, 2), "s", "<= 1", f"{mine:.2f} s with it, {peer:.2f} s without")]


def _unjudged(stack: Stack) -> Stack:
    return replace(stack, environment={**stack.environment, POLICY_PACK: ""})


def _previewed(stack: Stack, *, asked: bool) -> float:
    begun = time.monotonic()
    done = must(stack.preview(), "pulumi preview with no changes")
    spent = time.monotonic() - begun
    if ("Policies:" in done.output) != asked:
        raise BenchError(f"whether the policy pack runs is not up to {POLICY_PACK}:\n{done.output}")
    return spent


def _unchanged(stack: Stack) -> float:
    begun = time.monotonic()
    must(stack.preview("--expect-no-changes"), "pulumi preview with an unchanged recipe")
    return time.monotonic() - begun


def unchanged_up(stack: Stack) -> float:
    """Seconds of a `pulumi up` that changes nothing.

    Raises:
        BenchError: It fails, or changes something.
    """
    begun = time.monotonic()
    done = must(stack.up(), "pulumi up with no changes")
    spent = time.monotonic() - begun
    if any(word in done.output for word in (" created", " updated", " replaced", " deleted")):
        raise BenchError(f"an update with no changes changed something:\n{done.output}")
    return spent


def _empty(bed: Bed) -> Stack:
    folder = bed.folder / "empty"
    stack = Stack("local", bed.environment, Path(folder))
    if folder.exists():
        return stack
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(
        f"name: empty\nruntime:\n  name: python\n  options:\n    virtualenv: {ROOT / '.venv'}\n"
    )
    (folder / "__main__.py").write_text('"""Declares nothing."""\n')
    must(stack.pulumi("stack", "init", "local"), "pulumi stack init of the empty program")
    return stack
