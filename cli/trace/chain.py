"""The chain from a prediction to its version, package, rollout, making, data, commit and people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from audit.record import moment
from cli.lineage.graph import WHO, Edge, Graph, Node
from cli.trace.chosen import Chosen
from monitoring.predictions import Prediction
from provenance.facts import Facts
from rollout.core.event import Event

Role = Literal["champion", "challenger", "copy", ""]
"""What its version was when it answered; a copy's answer was returned to nobody. Empty where nobody knows."""
_BEGINS = frozenset({"preparing", "weights"})
_ENDS = frozenset({"promoted", "rolled_back", "withdrawn", "superseded", "failed"})
_BUILDER = "urn:modelstack:builder:"
_TRAINING = "training_"
"""Before what somebody did to a training, as others begin a rollout, and approve one."""
_RETRAINED = frozenset({"retrained_from", "retrained_through"})


@dataclass(frozen=True)
class Did:
    """What somebody did to let a version serve.

    Attributes:
        did: Such as `began`, `agreed`; see the edges of `cli.lineage.graph`.
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
        endpoint: Who was asked.
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
    people: tuple[Did, ...] = ()
    made: Mapping[str, Any] = field(default_factory=dict[str, Any])
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    commit: Mapping[str, Any] = field(default_factory=dict[str, Any])
    unread: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values; docs/how-to/trace.md describes them."""
        told = asdict(self)
        told["prediction"], told["others"] = _told(self.prediction), [_told(one) for one in self.others]
        return told


@dataclass(frozen=True)
class Known:
    """What is known of the release whose variant answered.

    Attributes:
        endpoint: Who was asked.
        history: The journal's last events.
        graph: The lineage of its package on this stack; None where no package of it is known.
        facts: What is proven of the package; None when nothing is.
        unread: What could not be looked at, and why, a sentence each.
    """

    endpoint: str
    history: Sequence[Event]
    graph: Graph | None = None
    facts: Facts | None = None
    unread: Sequence[str] = ()


def trace(chosen: Chosen, known: Known) -> Trace:
    """Put the chain together."""
    prediction, graph, facts = chosen.prediction, known.graph, known.facts
    found = Trace(
        prediction,
        known.endpoint,
        "copy" if chosen.copied else "",
        share_of(known.history, prediction).get("copies" if chosen.copied else "percent"),
        chosen.others,
        release_of(prediction.variant),
        unread=tuple(known.unread),
    )
    if graph is None:
        return found
    rollout, version = _rollout(graph, found.release, prediction.at), _version(graph, found.release)
    return replace(
        found,
        role=found.role or _role(graph, rollout, prediction.at),
        package=graph.package,
        version=_named(version),
        rollout=_of_rollout(rollout),
        returned=_returned(known.history, found.release, rollout, prediction.at),
        people=tuple(sorted(_people(graph, rollout, version), key=lambda one: one.at)),
        made=_made(facts, graph),
        data=_data(facts),
        commit=asdict(facts.source) if facts else {},
    )


def release_of(variant: str) -> str:
    """The id of the release whose variant it is."""
    return variant.removeprefix("v-")


def share_of(history: Sequence[Event], prediction: Prediction) -> Mapping[str, float]:
    """The share of the requests that a version on trial had when it answered: `percent`, or `copies`.

    Empty of one that was not on trial, or of which the journal's history knows nothing any more. A step is told when
    the endpoint confirms it: what a version answers before its first one is told, it answers by that one.
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


def _told(prediction: Prediction) -> dict[str, Any]:
    at = moment(prediction.at) if prediction.at is not None else ""
    ids = {"inference_id": prediction.inference, "event_id": prediction.event}
    return {**ids, "variant": prediction.variant, "at": at}


def _rollout(graph: Graph, release: str, at: float | None) -> Node | None:
    """The last rollout of a release that had begun when the prediction was given."""
    ours = [one for one in graph.of("rollout") if one.facts.get("release") == release]
    begun = [one for one in ours if at is None or one.at <= moment(at + 1)]
    return max(begun, key=lambda one: one.at, default=None)


def _version(graph: Graph, release: str) -> Node | None:
    """The newest registered version of a release."""
    return max((one for one in graph.of("version") if one.facts.get("release") == release), key=_at, default=None)


def _at(node: Node) -> str:
    return node.at


def _role(graph: Graph, rollout: Node | None, at: float | None) -> Role:
    if at is None:
        return ""
    then = moment(at)
    for edge in graph.edges:
        if edge.kind == "tried" and rollout is not None and edge.source == rollout.id and _during(edge, then):
            return "challenger"
    return "champion" if any(edge.kind == "served" and _during(edge, then) for edge in graph.edges) else ""


def _during(edge: Edge, then: str) -> bool:
    return edge.at <= then and (not edge.until or then <= edge.until)


def _named(version: Node | None) -> Mapping[str, str]:
    if version is None:
        return {}
    facts = version.facts
    return {"name": version.label, "approval": str(facts.get("approval", "")), "image": str(facts.get("image", ""))}


def _of_rollout(rollout: Node | None) -> Mapping[str, str]:
    if rollout is None:
        return {}
    name, _, outcome = rollout.label.removeprefix("rollout ").partition(": ")
    return {"id": name, "began": rollout.at, "outcome": outcome}


def _returned(history: Sequence[Event], release: str, rollout: Node | None, at: float | None) -> Mapping[str, str]:
    """The last time before the prediction that a later release was taken back for this one, which had served before."""
    began = rollout.at if rollout is not None else ""
    back = [
        one
        for one in history
        if one.kind in _ENDS and one.champion == release and at is not None and began < moment(one.at) <= moment(at + 1)
    ]
    return {"at": moment(back[-1].at), "why": f"{back[-1].release} was taken back: {_why(back[-1])}"} if back else {}


def _why(event: Event) -> str:
    return event.reason.text if event.reason is not None else event.kind


def _people(graph: Graph, rollout: Node | None, version: Node | None) -> Iterator[Did]:
    """What people and functions did to the rollout, to the version and, of a retraining, to its training."""
    of_training = [(node, _TRAINING) for node in graph.of("training")]
    for node, prefix in (*((one, "") for one in (rollout, version) if one), *of_training):
        for edge in graph.into(node):
            who = graph.node(edge.source)
            if who.kind in WHO:
                yield Did(f"{prefix}{edge.kind}", str(who.facts["who"]), edge.at, edge.why)


def _made(facts: Facts | None, graph: Graph) -> Mapping[str, Any]:
    """Which engine made a package, and in which of its executions; `step` and whatever else the builder tells."""
    if facts is None:
        return {}
    told = {name: value for name, value in asdict(facts.builder).items() if value}
    for node in graph.of("training"):
        told |= {name: value for name, value in node.facts.items() if name in _RETRAINED}
    by, execution, at = (told.pop(name, "") for name in ("id", "invocation", "finished"))
    return {"by": by.removeprefix(_BUILDER), "execution": execution, "at": at, **told}


def _data(facts: Facts | None) -> Mapping[str, Any]:
    if facts is None:
        return {}
    files = [{"name": one.name, "sha256": one.sha256, "source": one.origin or ""} for one in facts.data]
    return {"sha256": facts.recipe.data, "version": facts.data_version, "files": files}
