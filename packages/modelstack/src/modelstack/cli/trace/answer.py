"""The chain from a prediction to its version, package, rollout, build, data, commit and people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from modelstack.cli.trace.resolve import Resolved
from modelstack.monitoring.predictions import Prediction
from modelstack.records.audit.record import moment
from modelstack.records.lineage.graph import Graph, Node, Verb
from modelstack.records.provenance.facts import Facts
from modelstack.rollout.core.event import Event

Role = Literal["champion", "challenger", "copy", ""]
"""The role of its version when it answered; a `copy` was never returned to the caller. Empty when unknown."""
_SHARES = frozenset({"weights", "reduced"})
_BEGINS = _SHARES | {"preparing"}
_ENDS = frozenset({"promoted", "rolled_back", "withdrawn", "superseded", "failed"})
_BUILDER = "urn:modelstack:builder:"
TRAINING = "training_"
"""Prefix of an action on a training, to distinguish it from one on a rollout or version."""
_RETRAINED = frozenset({"retrained_from", "retrained_through"})


@dataclass(frozen=True)
class Deed:
    """What a person or function did: a verb of `modelstack.records.lineage.graph`, after `training_` for one
    on a training.
    """

    did: str
    who: str
    at: str
    why: str = ""


@dataclass(frozen=True)
class Trace:
    """A prediction and everything that led to it. What is unknown is empty; docs/how-to/trace.md describes the fields.

    Attributes:
        percent: The challenger's share of the requests then, 0 to 100; None when unknown.
        others: Other predictions with the same inference id.
        returned: When and why it served again in place of a later release: `at`, `why`; empty otherwise.
        people: In order of time.
        made: `by` (the engine), `execution`, `at`, `step` if known; of a retraining `retrained_from` (the package with
            its code) and `retrained_through`.
        unread: What could not be read, and why, a sentence each.
    """

    prediction: Prediction
    endpoint: str
    role: Role = ""
    percent: float | None = None
    others: tuple[Prediction, ...] = ()
    release: str = ""
    package: str = ""
    version: Mapping[str, str] = field(default_factory=dict[str, str])
    rollout: Mapping[str, str] = field(default_factory=dict[str, str])
    returned: Mapping[str, str] = field(default_factory=dict[str, str])
    people: tuple[Deed, ...] = ()
    made: Mapping[str, Any] = field(default_factory=dict[str, Any])
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    commit: Mapping[str, Any] = field(default_factory=dict[str, Any])
    unread: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; docs/how-to/trace.md describes them."""
        predictions = {"prediction": _as_dict(self.prediction), "others": [_as_dict(one) for one in self.others]}
        return {**asdict(self), **predictions}


def trace(
    resolved: Resolved,
    endpoint: str,
    history: Sequence[Event],
    graph: Graph | None = None,
    facts: Facts | None = None,
    *,
    unread: Sequence[str] = (),
) -> Trace:
    """Assemble the chain of a prediction.

    Without a `graph` its package is unknown, without `facts` nothing is proven about it. `unread` has a sentence
    for each thing that could not be read.
    """
    prediction, release = resolved.prediction, release_of(resolved.prediction.variant)
    found = Trace(
        prediction,
        endpoint,
        "copy" if resolved.copied else "",
        share_of(history, prediction).get("copies" if resolved.copied else "percent"),
        resolved.others,
        release,
        unread=tuple(unread),
    )
    if graph is None:
        return found
    at, rollouts = prediction.at, _of_release(graph, "rollout", release)
    rollouts = [one for one in rollouts if at is None or one.at <= moment(at + 1)]
    rollout, version = _newest(rollouts), _newest(_of_release(graph, "version", release))
    return replace(
        found,
        role=found.role or _role(graph, rollout, prediction.at),
        package=graph.package,
        version={"name": version.label, **{name: str(version.facts.get(name, "")) for name in ("approval", "image")}}
        if version
        else {},
        rollout=_rollout(rollout) if rollout else {},
        returned=_returned(history, release, rollout.at if rollout else "", prediction.at),
        people=tuple(sorted(_people(graph, rollout, version), key=lambda one: one.at)),
        made=_made(facts, graph) if facts else {},
        data=_data(facts) if facts else {},
        commit=asdict(facts.source) if facts else {},
    )


def release_of(variant: str) -> str:
    """The release id of a variant."""
    return variant.removeprefix("v-")


def share_of(history: Sequence[Event], prediction: Prediction) -> Mapping[str, float]:
    """A trial version's share of requests when it answered: `percent` or `copies`; empty if unknown or not on trial.

    A step is recorded when the endpoint confirms it, so answers before the first record belong to the first step.
    """
    release, at = release_of(prediction.variant), prediction.at
    if at is None:
        return {}
    found: Mapping[str, float] = {}
    begun = False
    for event in (one for one in history if one.release == release):
        if event.at > at + 1 and (found or not begun or event.kind not in _SHARES):  # `at` is in whole seconds
            break
        begun = event.kind in _BEGINS or (begun and event.kind not in _ENDS)
        found = event.numbers if event.kind in _SHARES else found if begun else {}
    return found


def _as_dict(prediction: Prediction) -> dict[str, Any]:
    at = moment(prediction.at) if prediction.at is not None else ""
    ids = {"inference_id": prediction.inference, "event_id": prediction.event}
    return {**ids, "variant": prediction.variant, "at": at}


def _of_release(graph: Graph, kind: Literal["rollout", "version"], release: str) -> list[Node]:
    return [one for one in graph.of(kind) if one.facts.get("release") == release]


def _newest(nodes: Sequence[Node]) -> Node | None:
    return max(nodes, key=lambda one: one.at, default=None)


def _role(graph: Graph, rollout: Node | None, at: float | None) -> Role:
    if at is None:
        return ""
    then = moment(at)
    now = [edge for edge in graph.edges if edge.at <= then and (not edge.until or then <= edge.until)]
    if any(edge.kind is Verb.TRIED and rollout is not None and edge.source == rollout.id for edge in now):
        return "challenger"
    return "champion" if any(edge.kind is Verb.SERVED for edge in now) else ""


def _rollout(rollout: Node) -> Mapping[str, str]:
    name, _, outcome = rollout.label.removeprefix("rollout ").partition(": ")
    return {"id": name, "began": rollout.at, "outcome": outcome}


def _returned(history: Sequence[Event], release: str, began: str, at: float | None) -> Mapping[str, str]:
    """The last rollback of a later release, before the prediction, that restored this release."""
    back = [
        one
        for one in history
        if one.kind in _ENDS and one.champion == release and at is not None and began < moment(one.at) <= moment(at + 1)
    ]
    if not back:
        return {}
    last = back[-1]
    why = last.reason.text if last.reason is not None else last.kind
    return {"at": moment(last.at), "why": f"{last.release} was taken back: {why}"}


def _people(graph: Graph, rollout: Node | None, version: Node | None) -> Iterator[Deed]:
    nodes = [(node, "") for node in (rollout, version) if node] + [(node, TRAINING) for node in graph.of("training")]
    for node, prefix in nodes:
        for edge, actor in graph.deeds(node):
            yield Deed(f"{prefix}{edge.kind}", str(actor.facts["who"]), edge.at, edge.why)


def _made(facts: Facts, graph: Graph) -> Mapping[str, Any]:
    """The engine and execution that built a package, and whatever else the builder names."""
    known = {name: value for name, value in asdict(facts.builder).items() if value}
    for node in graph.of("training"):
        known |= {name: value for name, value in node.facts.items() if name in _RETRAINED}
    by, execution, at = (known.pop(name, "") for name in ("id", "invocation", "finished"))
    return {"by": by.removeprefix(_BUILDER), "execution": execution, "at": at, **known}


def _data(facts: Facts) -> Mapping[str, Any]:
    files = [{"name": one.name, "sha256": one.sha256, "source": one.origin or ""} for one in facts.data]
    return {"sha256": facts.recipe.data, "version": facts.data_version, "files": files}
