"""The contents of each page, read from the cloud on each request."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from cli.console import comparison, lineage, trial, widget_figures
from cli.console.figure import Figure, Mark, Span
from cli.console.time_range import HOURS, Range, interval
from cli.errors import OperatorError
from cli.lineage.read import read as trace
from cli.platform.choose import platform_of
from cli.platform.facts import PackageVersion, Series
from cli.platform.package_store import newest
from cli.platform.port import Graphs
from cli.retrain import doing, look
from cli.target import ROOT, Target
from cli.view import served, situation, trial_history
from cli.view.releases import journal_state
from cli.view.snapshot import Snapshot, moment
from cli.view.trial import evidence_of
from cli.view.watching import Looks
from records.lineage.graph import Graph
from rollout.controller.look import asked as asked_of_signals
from rollout.core.state import RolloutState
from services.declaration.alarms import RUNBOOK
from services.declaration.panels import Panel, PanelSpec

_AT_ONCE = 4  # requests for data
_VERSIONS = 50
_TRACED_S = 60
_ROLES = ("previous", "challenger", "champion")


@dataclass(frozen=True)
class PanelView:
    """A panel with its figure or newest values, or the reason why it could not be read."""

    spec: PanelSpec
    figure: Figure | None = None
    curves: tuple[Series, ...] = ()
    problem: str = ""


class Pages:
    """The pages of one stack; `clock` returns epoch seconds."""

    def __init__(
        self,
        target: Target,
        looks: Looks | None = None,
        clock: Callable[[], float] = time.time,
        graphs: Graphs | None = None,
    ):
        self.target = target
        self.clock = clock
        self._looks = looks or Looks(target)
        self._platform = platform_of(target)
        self._graphs = graphs or self._platform.graphs()
        self._memory = trial_history.Memory()
        self._traced: dict[str | None, tuple[float, Graph]] = {}

    def rollout(self) -> dict[str, Any]:
        """The endpoint, the last trial with its weights and evidence over time, the events, and the retraining."""
        retraining = look(self.target)
        shown = self._shown()
        return {
            **shown,
            "events": tuple(reversed(shown["seen"].events)),
            "retraining": retraining,
            "doing": doing(retraining, self.target.commands),
            "trained": [(moment(entry.at), entry) for entry in reversed(retraining.record.history)],
            **self._trial(),
        }

    def _trial(self) -> dict[str, Any]:
        """The figures of the present or last trial; none where there was no challenger."""
        state, decision = self._looks.state, self._looks.decision
        both, end = trial_history.pair(state), trial_history.ended(state)
        if both is None or state.plan is None:
            return {"pair": None, "steps": (), "weights": None, "proofs": {}, "unread": "", "outcome": None}
        until = self.clock() if end is None else end
        span = trial.span(state, self.clock(), end)
        weights = trial.weights(both, trial_history.asked(state, both.challenger), span, until)
        found, unread = self._found(state, both, until)
        if decision and decision.findings:
            each = (item.reason for item in decision.findings.each)
            found.append(trial_history.EvidenceAt(until, evidence_of(each, state.plan.metrics, state.pivots)))
        proofs = trial.evidence(found, span, weights.marks)
        shown = {"pair": both, "steps": trial.steps(state), "weights": weights, "proofs": proofs, "unread": unread}
        return {**shown, "outcome": trial_history.outcome(state)}

    def _found(
        self, state: RolloutState, both: trial_history.Pair, until: float
    ) -> tuple[list[trial_history.EvidenceAt], str]:
        if state.plan is None or not state.step_starts:
            return [], ""
        seen = self._looks.signals.read(asked_of_signals(state, state.plan, both.champion, both.challenger, until))
        return self._memory.course(state, seen, until), seen.problem

    def dashboard(self, asked: Range) -> dict[str, Any]:
        """The stack's dashboard in a time range."""
        return {
            **self._shown(),
            "panels": self._views(self._graphs.panels(interval(asked.span, self.clock())), asked.span),
            "range": asked,
            "choices": HOURS,
        }

    def _shown(self) -> dict[str, Any]:
        seen = self._looks()
        return {"seen": seen, "found": situation.read(self.target, seen), "said": _said(seen)}

    def compare(self, asked: Range, given: Mapping[str, str]) -> dict[str, Any]:
        """Two versions of the registry; by default the champion and the challenger or the newest other."""
        found, roles = newest(self._platform.versions(), _VERSIONS), self._roles(self._state())
        one, other = _two(found, given, roles)
        names = [comparison.variant_of(item) for item in (one, other)]
        start, end = (datetime.fromtimestamp(at, UTC) for at in (asked.span.start, asked.span.end))
        views = served.between(self.target, [name for name in names if name], start, end)
        variants = list(dict.fromkeys(filter(None, names)))
        compared = self._graphs.comparison(variants, interval(asked.span, self.clock()))
        return {
            "versions": found,
            "one": one,
            "other": other,
            "names": names,
            "roles": roles,
            "range": asked,
            "choices": HOURS,
            "tables": {
                "Answers in this time": comparison.served(views, *names),
                "Evaluation": comparison.rows(*(item.view.metrics for item in (one, other))),
                "Where from": comparison.rows(*(item.lineage for item in (one, other))),
            },
            "panels": self._views(compared, asked.span),
            "said": "",
        }

    def alarms(self) -> dict[str, Any]:
        """Every alarm of the present versions with its latest changes: firing first, then composite."""
        shown, listed = self._shown(), self._platform.alarms_in_full()
        listed = [item for item in listed if shown["seen"].has(item.alarm)]
        listed.sort(key=lambda item: (item.alarm.state != "ALARM", not item.composite, item.alarm.name))
        return {**shown, "alarms": listed}

    def runbook(self, section: str) -> dict[str, Any]:
        """A section of the runbook, by its anchor."""
        parts = re.split(r"^## ", (ROOT / RUNBOOK).read_text(), flags=re.MULTILINE)[1:]
        found = {
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-"): (title, text.strip())
            for title, _, text in (part.partition("\n") for part in parts)
        }
        if section not in found:
            raise OperatorError(f"section is {section!r}", f"The runbook has {', '.join(found)}.", 2)
        title, text = found[section]
        return {"title": title, "text": text, "said": ""}

    def registry(self) -> dict[str, Any]:
        """The packages of the stack, newest first, each with its role and the reason for its approval.

        The champion's reason is the verdict: the registry keeps the first reason when a version is approved again.
        """
        state = journal_state(self.target)
        roles = {release.version: name for name in _ROLES if (release := getattr(state, name)) is not None}
        found = newest(self._platform.versions(), _VERSIONS)
        versions = [(item, role, _why(item, role, state)) for item in found for role in [roles.get(item.name, "")]]
        return {"group": self._platform.registry_name(), "versions": versions, "said": f"{len(versions)} versions"}

    def lineage(self, given: Mapping[str, str]) -> dict[str, Any]:
        """The lineage of a package, by default the champion's; cached for a minute, as other stacks are queried too."""
        word = given.get("package") or None
        kept = self._traced.get(word)
        if kept is None or self.clock() - kept[0] > _TRACED_S:
            kept = self.clock(), trace(self.target, word)
            self._traced = {word: kept}
        return lineage.shown(kept[1])

    def _state(self) -> RolloutState:
        self._looks()
        return self._looks.state

    def _roles(self, state: RolloutState) -> dict[str, str]:
        found = ((name, getattr(state, name)) for name in _ROLES)
        return {release.variant: name for name, release in found if release is not None}

    def _views(self, panels: Sequence[Panel], shown: Span) -> list[PanelView]:
        state = self._looks.state
        view = partial(self._view, shown=shown, marks=trial.marks(state.history), roles=self._roles(state))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(view, panels))

    def _view(self, panel: Panel, shown: Span, marks: Sequence[Mark], roles: widget_figures.Roles) -> PanelView:
        try:
            found = self._graphs.curves(panel, shown.start, shown.end)
        except OperatorError as error:
            return PanelView(panel.spec, problem=str(error))
        if panel.spec.kind == "budget":
            return PanelView(panel.spec, curves=tuple(found))
        return PanelView(panel.spec, widget_figures.figure(panel, found, shown, marks, roles))


def _why(item: PackageVersion, role: str, state: RolloutState) -> str:
    """The reason for a version's approval; empty without one."""
    champion, verdict = state.champion, state.verdict
    if role == "champion" and champion and verdict and (verdict.release, verdict.outcome) == (champion.id, "promoted"):
        return verdict.reason.text
    return item.why


def _said(seen: Snapshot) -> str:
    """The text that screen readers announce when it changes."""
    rings = ", ".join(alarm.name for alarm in seen.ringing)
    where = f", step {seen.trial.step} of {seen.trial.steps}" if seen.trial else ""
    return f"{seen.phase.replace('_', ' ')}{where}; {f'in alarm: {rings}' if rings else 'no alarm fires'}"


def _two(
    found: Sequence[PackageVersion], given: Mapping[str, str], roles: Mapping[str, str]
) -> tuple[PackageVersion, PackageVersion]:
    if not found:
        raise OperatorError("nothing is registered yet", "A version is registered by an update of the stack.")
    by_number = {str(item.view.version): item for item in found}
    by_role = {roles.get(comparison.variant_of(item), ""): item for item in found}

    def named(field: str, default: PackageVersion) -> PackageVersion:
        if not given.get(field):
            return default
        if given[field] not in by_number:
            raise OperatorError(f"{field} is {given[field]!r}", f"Allowed are {', '.join(by_number)}.", 2)
        return by_number[given[field]]

    one = named("one", by_role.get("champion", found[-1]))
    newest = next((item for item in found if item is not one), one)
    return one, named("other", by_role.get("challenger", newest))
