"""Collects the facts of the comment: preview, stack, and model build. Nothing in the cloud changes.

A part that fails is missing with its reason, and the others are still reported.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from localcloud.setup import POLICY_PACK
from modelstack.cli.errors import REFUSED, UNKNOWN, OperatorError
from modelstack.cli.local.stack import Stack
from modelstack.cli.report import preview as previews
from modelstack.cli.report.compared import Compared
from modelstack.cli.report.duration import Foreseen, Traffic, foreseen
from modelstack.cli.report.facts import Facts, Latency, Missing
from modelstack.cli.report.infrastructure import Prices
from modelstack.cli.report.latency import latencies
from modelstack.cli.report.preview import Preview
from modelstack.cli.report.versions import REFUSALS, ComparedVersion, Say, bring, built, fetched, on_same_rows
from modelstack.cli.target import Target, of_outputs
from modelstack.cli.view.releases import journal_state
from modelstack.cli.view.served import between
from modelstack.pipeline.project import SOURCES
from modelstack.rollout.core.plan import Plan
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.restored import Restored
from modelstack.rollout.core.verdict import Verdict

_DAY = timedelta(days=1)
_FIRST = Missing("nothing serves yet, so this is the first release: nothing to compare with")


@dataclass(frozen=True)
class Live:
    """What serves on the stack; `target` is None when it cannot be read, and `why` says why there is no champion."""

    target: Target | None
    champion: Release | None
    why: Missing = _FIRST
    restored: Restored | None = None
    rejected: tuple[Verdict, ...] = ()


def gather(stack: Stack, workdir: Path, say: Say) -> Facts:
    """Collect all facts of a stack, with `workdir` an empty folder; OperatorError if the pulumi command is missing."""
    begun = time.monotonic()
    say("asking pulumi for a preview")
    seen = previewed(stack)
    live = _live(stack)
    champion = _champion(live, workdir)
    challenger, below, trained = _challenger(stack, seen, live, workdir, say)
    both = _compared(champion, challenger, workdir, say)
    speed = _latency(champion, challenger, workdir, say)
    traffic = _traffic(live)
    return Facts(
        stack=stack.name,
        preview=seen,
        prices=Prices.from_dict(json.loads((SOURCES / "modelstack/policy" / "prices.json").read_bytes())),
        champion=champion.package if isinstance(champion, ComparedVersion) else champion,
        champion_config=live.champion.config_name if live.champion else None,
        challenger=challenger.package if isinstance(challenger, ComparedVersion) else challenger,
        compared=both,
        latency=speed,
        traffic=traffic,
        rollout=expected(seen, live, traffic, challenger),
        gates=below,
        seconds=time.monotonic() - begun - trained,
        trained=trained,
        restored=live.restored,
    )


def previewed(stack: Stack) -> Preview:
    """Run a preview, with the policy pack if the project has one."""
    asked = replace(stack, environment={**stack.environment, previews.STREAMING: "true"})
    chosen = POLICY_PACK in {**os.environ, **stack.environment}
    without = chosen or not (stack.root / "policy" / "PulumiPolicy.yaml").exists()
    done = asked.preview("--json", *(() if without else ("--policy-pack", "policy")))
    return previews.read(done.output.splitlines(), done.code)


def _live(stack: Stack) -> Live:
    try:
        target = of_outputs(stack.name, stack.outputs())
        if target is None:
            return Live(None, None)
        state = journal_state(target)
        return Live(target, state.champion, restored=state.restored, rejected=tuple(state.rejected.values()))
    except OperatorError as error:
        return Live(None, None, Missing(f"what serves is not known: {error}", UNKNOWN))


def _champion(live: Live, workdir: Path) -> ComparedVersion | Missing:
    if live.target is None or live.champion is None:
        return live.why
    try:
        return fetched(live.champion.as_dict(), workdir / "champion", partial(bring, live.target))
    except OperatorError as error:
        return Missing(f"the champion cannot be read: {error}", UNKNOWN)


def _challenger(
    stack: Stack, seen: Preview, live: Live, workdir: Path, say: Say
) -> tuple[ComparedVersion | Missing, str, float]:
    """The release that the program declares or, without a declaration, the stack's file."""
    declared = seen.only(previews.PACKAGE)
    inputs: Mapping[str, Any] = declared.new if declared else {}
    candidate = inputs.get("candidate")  # of a training job
    trained = isinstance(candidate, Mapping) and candidate.get("recipe") == inputs.get("recipe")
    given = inputs.get("source") or (candidate if trained else None)
    folder = workdir / "challenger"
    try:
        if given:
            if live.target is None:
                return Missing("the package comes from elsewhere, and cannot be read without the stack"), "", 0.0
            return fetched(given, folder, partial(bring, live.target)), "", 0.0
        model = inputs or (stack.written().get("config") or {}).get("modelstack:model") or {}
        return built(stack.root, model.get("parameters") or {}, model.get("gates") or {}, folder, say)
    except OperatorError as error:
        return Missing(f"the package cannot be read: {error}", error.exit_code), "", 0.0
    except REFUSALS as error:
        return Missing(str(error), REFUSED), "", 0.0


def _compared(
    champion: ComparedVersion | Missing, challenger: ComparedVersion | Missing, workdir: Path, say: Say
) -> Compared | Missing:
    if isinstance(champion, Missing):
        return champion
    if isinstance(challenger, Missing):
        return Missing("there is no challenger")
    if champion.package.digest == challenger.package.digest:
        return Missing("both are the same package")
    say("comparing champion and challenger on the same rows")
    return on_same_rows(champion, challenger, workdir / "compared", say)


def _latency(
    champion: ComparedVersion | Missing, challenger: ComparedVersion | Missing, workdir: Path, say: Say
) -> tuple[Latency | None, Latency] | Missing:
    if isinstance(challenger, Missing):
        return Missing("there is no challenger")
    sides = [challenger] if isinstance(champion, Missing) else [champion, challenger]
    if len({side.package.digest for side in sides}) < len(sides):
        return Missing("both are the same package")
    say("measuring latency")
    try:
        found = latencies([side.folder for side in sides], [side.manifest.sha256 for side in sides], workdir / "log")
    except OperatorError as error:
        return Missing(str(error))
    return (found[0] if len(found) > 1 else None, found[-1])


def _traffic(live: Live) -> Traffic | Missing:
    if live.target is None or live.champion is None:
        return live.why
    end = datetime.now(UTC)
    start = max(end - _DAY, live.target.created)
    try:
        found = between(live.target, [live.champion.variant], start, end)
    except OperatorError as error:
        return Missing(f"today's traffic is not known: {error}")
    seconds = max((end - start).total_seconds(), 1.0)
    requests, failed = sum(one.requests for one in found), sum(one.failed for one in found)
    slow = found[0].latency_ms if found else {}
    return Traffic(requests / seconds, failed / requests if requests else 0.0, slow.get("p50"), slow.get("p99"))


def expected(
    seen: Preview, live: Live, traffic: Traffic | Missing, challenger: ComparedVersion | Missing
) -> Foreseen | Missing:
    """The expected rollout; missing with its reason if there is none."""
    declared = seen.only(previews.ROLLOUT)
    if declared is None:
        return Missing("not known, as the preview did not come so far")
    if why := _no_trial(declared.new, live, challenger):
        return why
    if isinstance(traffic, Missing):
        return traffic
    return foreseen(Plan.from_dict(declared.new["plan"]), traffic)


def _no_trial(inputs: Mapping[str, Any], live: Live, challenger: ComparedVersion | Missing) -> Missing | None:
    if not inputs.get("start_trial"):
        digest = challenger.package.digest if isinstance(challenger, ComparedVersion) else ""
        for verdict in live.rejected if live.champion is None or live.champion.package_digest != digest else ():
            if verdict.package_digest == digest:
                why = f"release {verdict.release} is rejected ({verdict.reason.text}); it is not tried again"
                clear = f"modelstack clear {verdict.release}"
                return Missing(f"{why} until its recipe or image changes, or `{clear}`", warns=True)
        return Missing("none: no other release would serve")
    if live.champion is None:
        return Missing("none: the first release serves at once")
    return None if inputs.get("trial_config") else Missing("no trial: the same model moves to other instances")
