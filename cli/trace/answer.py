"""The chain from an answer to its version, package, rollout, making, data, commit and people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from audit.record import moment
from cli.trace.resolve import Resolved
from monitoring.predictions import Prediction
from provenance.facts import Facts
from records.lineage.graph import Edge, Graph, Node, Verb
from rollout.core.event import Event

Role = Literal["champion", "challenger", "copy", ""]
"""What its version was when it answered; a copy's answer was returned to nobody. Empty where that is not known."""
_BEGINS = frozenset({"preparing", "weights"})
_ENDS = frozenset({"promoted", "rolled_back", "withdrawn", "superseded", "failed"})
_BUILDER = "urn:modelstack:builder:"
TRAINING = "training_"
"""Prefix of what somebody did to a training, as others begin a rollout, and approve one."""
_RETRAINED = frozenset({"retrained_from", "retrained_through"})


@dataclass(frozen=True)
class Deed:
    """What somebody did to let a version serve.

    Attributes:
        did: Such as `began`, `agreed`: a verb of `records.lineage.graph`, or `training_` and one.
        who: Whose credentials, or which function, as the audit record has it.
        at: When.
        why: The reason, in words; empty where there is none.
    """

    did: str
    who: str
    at: str
    why: str = ""


@dataclass(frozen=True)
class Trace:
    """A prediction, and all that led to it. What is not known is empty.

    Attributes:
        prediction: The prediction.
        endpoint: The endpoint that gave it.
        role: What its version was then.
        percent: The challenger's share of the requests then, 0 to 100; None where that is not known.
        others: What else has the same inference id.
        release: The id of the release.
        package: Its digest.
        version: The registered version: `name`, `approval`, `image`.
        rollout: The rollout that put it there: `id`, `began`, `outcome`.
        returned: When it served again in place of a later release, and why: `at`, `why`. Empty where that was not so.
        people: Who did what in that rollout and to that version, in order of time.
        made: What made the package: `by` (the engine), `execution`, `at`, and `step` where the engine names one. Of a
            retraining also `retrained_from`, the package whose code it has, and `retrained_through`.
        data: `sha256` of all of it, and the `files`.
        commit: `commit`, `dirty` and `remote`.
        unread: What could not be looked at, and why, a sentence each.
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
        """As plain JSON values; docs/how-to/trace.md describes them."""
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
    """Put the chain together.

    Args:
        resolved: The prediction.
        endpoint: The endpoint that gave it.
        history: The journal's last events.
        graph: The lineage of its package on this stack; None where no package is known.
        facts: What is proven about the package; None when nothing is.
        unread: What could not be looked at, and why, a sentence each.
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
    rollouts = [one for one in _of_release(graph, "rollout", release) if _begun(one.at, prediction.at)]
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
    """The id of the release whose variant it is."""
    return variant.removeprefix("v-")


def share_of(history: Sequence[Event], prediction: Prediction) -> Mapping[str, float]:
    """The share of the requests that a version on trial had when it answered: `percent`, or `copies`.

    Empty for one that was not on trial, or that is no longer in the journal's history. A step is recorded when the
    endpoint confirms it: what a version answers before its first step is recorded, it answers in that step.
    """
    release, at = release_of(prediction.variant), prediction.at
    if at is None:
        return {}
    found: Mapping[str, float] = {}
    begun = False
    for event in (one for one in history if one.release == release):
        if event.at > at + 1 and (found or not begun or event.kind != "weights"):  # `at` is in whole seconds
            break
        begun = event.kind in _BEGINS or (begun and event.kind not in _ENDS)
        found = event.numbers if event.kind == "weights" else found if begun else {}
    return found


def _as_dict(prediction: Prediction) -> dict[str, Any]:
    at = moment(prediction.at) if prediction.at is not None else ""
    ids = {"inference_id": prediction.inference, "event_id": prediction.event}
    return {**ids, "variant": prediction.variant, "at": at}


def _of_release(graph: Graph, kind: Literal["rollout", "version"], release: str) -> list[Node]:
    return [one for one in graph.of(kind) if one.facts.get("release") == release]


def _newest(nodes: Sequence[Node]) -> Node | None:
    return max(nodes, key=lambda one: one.at, default=None)


def _begun(began: str, at: float | None) -> bool:
    return at is None or began <= moment(at + 1)


def _role(graph: Graph, rollout: Node | None, at: float | None) -> Role:
    if at is None:
        return ""
    now = [edge for edge in graph.edges if _during(edge, moment(at))]
    if any(edge.kind is Verb.TRIED and rollout is not None and edge.source == rollout.id for edge in now):
        return "challenger"
    return "champion" if any(edge.kind is Verb.SERVED for edge in now) else ""


def _during(edge: Edge, then: str) -> bool:
    return edge.at <= then and (not edge.until or then <= edge.until)


def _rollout(rollout: Node) -> Mapping[str, str]:
    name, _, outcome = rollout.label.removeprefix("rollout ").partition(": ")
    return {"id": name, "began": rollout.at, "outcome": outcome}


def _returned(history: Sequence[Event], release: str, began: str, at: float | None) -> Mapping[str, str]:
    """The last rollback of a later release before the prediction that made this one, which had served, serve again."""
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
    """What people and functions did to the rollout, to the version and, of a retraining, to its training."""
    nodes = [(node, "") for node in (rollout, version) if node] + [(node, TRAINING) for node in graph.of("training")]
    for node, prefix in nodes:
        for edge, actor in graph.deeds(node):
            yield Deed(f"{prefix}{edge.kind}", str(actor.facts["who"]), edge.at, edge.why)


def _made(facts: Facts, graph: Graph) -> Mapping[str, Any]:
    """Which engine made a package, and in which of its executions; `step` and whatever else the builder names."""
    known = {name: value for name, value in asdict(facts.builder).items() if value}
    for node in graph.of("training"):
        known |= {name: value for name, value in node.facts.items() if name in _RETRAINED}
    by, execution, at = (known.pop(name, "") for name in ("id", "invocation", "finished"))
    return {"by": by.removeprefix(_BUILDER), "execution": execution, "at": at, **known}


def _data(facts: Facts) -> Mapping[str, Any]:
    files = [{"name": one.name, "sha256": one.sha256, "source": one.origin or ""} for one in facts.data]
    return {"sha256": facts.recipe.data, "version": facts.data_version, "files": files}
