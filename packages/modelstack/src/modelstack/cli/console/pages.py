"""The contents of each page, read from the cloud on each request."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from modelstack.cli.console import comparison, lineage, trial, widget_figures
from modelstack.cli.console.figure import Figure, Mark, Span, Version, colours
from modelstack.cli.console.time_range import HOURS, Range, interval
from modelstack.cli.errors import OperatorError
from modelstack.cli.lineage.read import read as trace
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.platform.facts import PackageVersion, Series
from modelstack.cli.platform.package_store import newest
from modelstack.cli.platform.port import Graphs
from modelstack.cli.retrain import doing, look
from modelstack.cli.target import Target
from modelstack.cli.view import served, situation, trial_history
from modelstack.cli.view.releases import journal_state
from modelstack.cli.view.snapshot import Snapshot, moment, with_parts
from modelstack.cli.view.trial import evidence_of
from modelstack.cli.view.watching import Looks
from modelstack.monitoring import published
from modelstack.records.lineage.graph import Graph
from modelstack.records.provenance.envelope import SignatureError
from modelstack.rollout.controller.look import trial_query
from modelstack.rollout.core.release import variant
from modelstack.rollout.core.state import RolloutState
from modelstack.services.declaration.panels import Panel, PanelSpec
from modelstack.services.sealed_packages import RegistryError

RUNBOOK = Path(__file__).with_name("runbook.md")  # a link to the page in docs/; in a wheel, the page
_AT_ONCE = 4  # requests for data
_VERSIONS = 50
_TRACED_S = 60
_ROLES = ("previous", "challenger", "champion")
_OF_LABELS = (published.REALISED, published.SEGMENT_ERROR, published.CONCEPT_EVIDENCE)


@dataclass(frozen=True)
class PanelView:
    """A panel with its figure or newest values, or the reason why it could not be read, or why it is empty."""

    spec: PanelSpec
    figure: Figure | None = None
    curves: tuple[Series, ...] = ()
    problem: str = ""
    why: str = ""

    @property
    def is_empty_drift(self) -> bool:
        """Whether it shows drift and has no data."""
        of_drift = {published.DRIFT_EVIDENCE, published.DRIFT_DISTANCE}
        empty = self.figure is not None and self.figure.empty
        return empty and any(curve.metric in of_drift for curve in self.spec.curves)

    @property
    def fed_by(self) -> str:
        """The words of the command that sends what the panel shows; empty where an empty panel is no idle one."""
        metrics = {curve.metric for curve in self.spec.curves} - {*published.UNUSABLE}
        if self.spec.kind != "curves" or not (metrics or "requests" in self.spec.unit):
            return ""
        labelled = any(name.startswith(_OF_LABELS) for name in metrics)
        return "replay --rate 20 --for 60" + " --labels-after 1" * labelled


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
        self._stopped: tuple[float, tuple[str, ...]] = (-math.inf, ())
        self._made: dict[str, dict[str, str]] = {}

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
        known = {name: version.colour for name, version in _versions(state).items()}
        weights = trial.weights(both, trial_history.asked(state, both.challenger), span, until, known)
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
        seen = self._looks.signals.read(trial_query(state, state.plan, both.champion, both.challenger, until))
        return self._memory.course(state, seen, until), seen.problem

    def dashboard(self, asked: Range) -> dict[str, Any]:
        """The stack's dashboard in a time range."""
        shown = self._shown()
        views = self._views(self._graphs.panels(interval(asked.span, self.clock())), asked.span)
        if any(view.is_empty_drift for view in views):
            rows = self._platform.quality([row.name for row in shown["seen"].variants])
            why = "; ".join(f"{row.variant} is not judged: {row.drift}" for row in rows if row.drift)
            views = [replace(view, why=why) if view.is_empty_drift else view for view in views]
        return {
            **shown,
            "panels": views,
            "range": asked,
            "choices": HOURS,
        }

    def _shown(self) -> dict[str, Any]:
        seen = self._looks()
        if seen.firing or seen.deleted:
            seen = with_parts(seen, {"stopped": self._read_stopped})
        found = situation.read(self.target, seen)
        return {"seen": seen, "found": found, "said": _said(seen, found), "versions": _versions(self._looks.state)}

    def _read_stopped(self) -> tuple[str, ...]:
        """Cached for a minute, as it takes several requests."""
        if self.clock() - self._stopped[0] > _TRACED_S:
            self._stopped = self.clock(), self._platform.stopped()
        return self._stopped[1]

    def compare(self, asked: Range, given: Mapping[str, str]) -> dict[str, Any]:
        """Two versions of the registry; by default the champion and the challenger or the newest other."""
        found, known = newest(self._platform.versions(), _VERSIONS), _versions(self._state())
        one, other = _two(found, given, known)
        names = [comparison.variant_of(item) for item in (one, other)]
        start, end = (datetime.fromtimestamp(at, UTC) for at in (asked.span.start, asked.span.end))
        views = served.between(self.target, [name for name in names if name], start, end)
        variants = list(dict.fromkeys(filter(None, names)))
        compared = self._graphs.comparison(variants, interval(asked.span, self.clock()))
        return {
            "packages": found,
            "versions": _versions(self._looks.state, *variants),
            "one": one,
            "other": other,
            "names": names,
            "range": asked,
            "choices": HOURS,
            "tables": {
                "Answers in this time": comparison.served(views, *names),
                "Evaluation": comparison.rows(*(item.view.metrics for item in (one, other))),
                "Made of": comparison.rows(*(self._made_of(item) for item in (one, other))),
                "Where from": comparison.rows(*(item.lineage for item in (one, other))),
            },
            "panels": self._views(compared, asked.span, *variants),
            "said": "",
        }

    def alarms(self) -> dict[str, Any]:
        """Every alarm of the present versions with its latest changes: firing first, then composite."""
        shown, listed = self._shown(), self._platform.alarms_in_full()
        listed = [item for item in listed if shown["seen"].has(item.alarm)]
        fires = {item.alarm.name: item.alarm.state == "ALARM" and not item.part_of for item in listed}
        listed.sort(key=lambda item: (not fires[item.alarm.name], not item.composite, item.alarm.name))
        return {**shown, "alarms": listed}

    def runbook(self, section: str) -> dict[str, Any]:
        """A section of the runbook, by its anchor."""
        parts = re.split(r"^## ", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
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
        return {
            "group": self._platform.registry_name(),
            "packages": versions,
            "versions": _versions(state),
            "said": f"{len(versions)} version{'s' * (len(versions) != 1)}",
        }

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

    def _made_of(self, item: PackageVersion) -> dict[str, str]:
        """Commit and parameters of a package, as the stack has signed them; or why they are not known."""
        digest = item.view.digest
        if digest not in self._made:
            try:
                key = self.target.output("signing_key").encode()
                facts = self._platform.package_store().evidence(digest, key).verify(digest, key)
            except (OperatorError, RegistryError, SignatureError) as error:
                return {"commit and parameters": f"not known: {error}"}
            changed = ", but files differed from it" * bool(facts.source.dirty)
            commit = f"{facts.source.commit}{changed}" if facts.source.commit else "not known: made outside git"
            self._made[digest] = {"commit": commit, **{n: str(v) for n, v in facts.recipe.parameters.items()}}
        return self._made[digest]

    def _views(self, panels: Sequence[Panel], shown: Span, *variants: str) -> list[PanelView]:
        state = self._looks.state
        view = partial(self._view, shown=shown, marks=trial.marks(state.history), known=_versions(state, *variants))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(view, panels))

    def _view(self, panel: Panel, shown: Span, marks: Sequence[Mark], known: widget_figures.Versions) -> PanelView:
        try:
            found = self._graphs.curves(panel, shown.start, shown.end)
        except OperatorError as error:
            return PanelView(panel.spec, problem=str(error))
        if panel.spec.kind == "budget":
            return PanelView(panel.spec, curves=tuple(found))
        return PanelView(panel.spec, widget_figures.figure(panel, found, shown, marks, known))


def _why(item: PackageVersion, role: str, state: RolloutState) -> str:
    """The reason for a version's approval; empty without one."""
    champion, verdict = state.champion, state.verdict
    if role == "champion" and champion and verdict and (verdict.release, verdict.outcome) == (champion.id, "promoted"):
        return verdict.reason.text
    return item.why


def _versions(state: RolloutState, *more: str) -> dict[str, Version]:
    """The variants that the journal knows, and `more` that are shown together, with their roles and colours."""
    live = ((name, getattr(state, name)) for name in _ROLES)
    roles = {release.variant: name for name, release in live if release is not None}
    together = [[*event.weights, *([variant(event.release)] if event.release else [])] for event in state.history]
    older = [name for name in roles if not any(name in names for names in together)]
    found = colours([older, *together, more])
    return {name: Version(name, roles.get(name, ""), colour) for name, colour in found.items()}


def _said(seen: Snapshot, found: situation.Situation) -> str:
    """The text that screen readers announce when it changes."""
    firing = ", ".join(alarm.name for alarm in seen.firing)
    where = f", step {seen.trial.step} of {seen.trial.steps}" if seen.trial else ""
    return f"{seen.phase.replace('_', ' ')}{where}; {f'in alarm: {firing}' if firing else found.what}"


def _two(
    found: Sequence[PackageVersion], given: Mapping[str, str], known: Mapping[str, Version]
) -> tuple[PackageVersion, PackageVersion]:
    if not found:
        raise OperatorError("nothing is registered yet", "A version is registered by an update of the stack.")
    by_number = {str(item.view.version): item for item in found}
    by_role = {known.get(comparison.variant_of(item), Version()).role: item for item in found}

    def named(field: str, default: PackageVersion) -> PackageVersion:
        if not given.get(field):
            return default
        if given[field] not in by_number:
            raise OperatorError(f"{field} is {given[field]!r}", f"Allowed are {', '.join(by_number)}.", 2)
        return by_number[given[field]]

    one = named("one", by_role.get("champion", found[-1]))
    newest = next((item for item in found if item is not one), one)
    return one, named("other", by_role.get("challenger", newest))
