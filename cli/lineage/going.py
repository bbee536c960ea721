"""The second half of a lineage: where a package was registered, tried and served, and who did it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from audit.chain import UNKNOWN
from audit.record import Kind, Record
from cli.lineage.graph import Edge, Node, Verb
from cli.lineage.known import Stack, Version, named
from cli.lineage.making import Part, training_id

Why = Callable[[Mapping[str, Any]], str]
"""The reason of a record, in words."""
_ENDS = {Kind.PROMOTION, Kind.VERDICT, Kind.RESTORE}
_DID: Mapping[Kind, Verb] = {
    Kind.RELEASE: "began",
    Kind.APPROVAL: "approved",
    Kind.EXEMPTION: "exempted",
    Kind.CLEAR: "cleared",
    **dict.fromkeys(_ENDS, "ended"),
}
_WISHES: Mapping[str, Verb] = {"restore": "restored", "restore_lifted": "lifted"}
"""Events in which a person wants a version again, or no longer: no part of the rollout that was the last one then."""
_ASKED: Mapping[str, Verb] = {"asked": "asked", "approved": "approved", "declined": "declined"}
"""Events of a retraining in which somebody wants something."""


def gone(digest: str, stacks: Sequence[Stack], job: str, why: Why) -> Iterator[Part]:
    """Everything from the package on.

    Args:
        digest: The package's.
        stacks: Those that know it.
        job: The training job that made it; empty when none did.
        why: Tells the reason of a record.
    """
    known = {version.arn for stack in stacks for version in stack.versions}
    for stack in stacks:
        for version in stack.versions:
            yield from _registered(digest, stack, version, known)
        ours = [one for one in stack.records if one.what.get("release") in stack.releases(digest)]
        for record in ours:
            if verb := _wish(record):
                yield from _by(
                    record.who, _version(stack, [record], digest), verb, record.time, _said(record.what, why)
                )
        done = [one for one in ours if one.kind is not Kind.RETRAINING and _wish(one) is None]
        yield from _tried(digest, stack, done, why)
        yield from _served(digest, stack, why)
        yield from _retrained(digest, stack, job, why)


def _registered(digest: str, stack: Stack, version: Version, known: set[str]) -> Iterator[Part]:
    facts = {
        "stack": stack.name,
        "release": version.release,
        "approval": version.approval,
        "why": version.why,
        "image": version.image,
        "archive": version.archive,
    }
    yield Node(version.arn, "version", version.name, version.created, facts)
    source = version.told.get("promoted_from")
    if source and source not in known:
        yield Node(source, "version", named(source), facts={"arn": source})
        yield Edge(digest, source, "registered")
    verb: Verb = "promoted" if source else "registered"
    yield Edge(source or digest, version.arn, verb, version.created)
    yield from _by(version.by, version.arn, verb, version.created)


def _wish(record: Record) -> Verb | None:
    """What a person wants of a version by a record; None of any other record."""
    return _WISHES.get(str(record.what.get("event"))) if record.kind is Kind.RESTORE else None


def _tried(digest: str, stack: Stack, records: Sequence[Record], why: Why) -> Iterator[Part]:
    """The rollouts of the package on a stack, what people did in them, and when it was on trial."""
    rollouts: dict[str, list[Record]] = {}
    for record in records:
        rollouts.setdefault(str(record.what.get("rollout", "")), []).append(record)
    for name, told in rollouts.items():
        version = _version(stack, told, digest)
        place = version
        if any(one.kind is Kind.RELEASE or one.kind in _ENDS for one in told):
            place = _rollout_id(stack, name)
            ends = [
                {"at": one.time, "outcome": str(one.what.get("event")), "why": _said(one.what, why), "who": one.who}
                for one in told
                if one.kind in _ENDS
            ]
            outcome = str(ends[-1]["outcome"]).replace("_", " ") if ends else "goes on"
            facts = {"stack": stack.name, "release": told[0].what.get("release", ""), "verdicts": ends}
            yield Node(place, "rollout", f"rollout {name}: {outcome}", told[0].time, facts)
            yield Edge(version, place, "released", told[0].time)
            yield from _on_trial(stack, place, told)
        for record in told:
            yield from _did(record, place, version, why)


def _did(record: Record, rollout: str, version: str, why: Why) -> Iterator[Part]:
    """Who did something to a rollout, or to a version outside one."""
    what, verb = record.what, _DID.get(record.kind)
    if what.get("event") == "agreed":
        yield from _by(str(what.get("who") or record.who), version, "agreed", record.time, str(what.get("why", "")))
    elif verb in {"exempted", "cleared"}:
        yield from _by(record.who, version, verb, record.time, _said(what, why))
    elif verb is not None:
        said = _outcome(what, why) if verb == "ended" else _said(what, why)
        yield from _by(record.who, rollout, verb, record.time, said)
    elif record.kind is Kind.DECISION and _by_person(what) and what.get("event") != "promoting":
        yield from _by(record.who, rollout, "took_back", record.time, _said(what, why))


def _said(what: Mapping[str, Any], why: Why) -> str:
    """The reason of a record; empty where it has none."""
    return why(what) if what.get("reason") or what.get("said") else ""


def _outcome(what: Mapping[str, Any], why: Why) -> str:
    """How something ended, and why."""
    return ": ".join(filter(None, (str(what.get("event", "")).replace("_", " "), _said(what, why))))


def _by_person(what: Mapping[str, Any]) -> bool:
    reason = what.get("reason")
    return isinstance(reason, dict) and reason.get("source") == "person"


def _on_trial(stack: Stack, rollout: str, told: Sequence[Record]) -> Iterator[Part]:
    begun = next((one for one in told if one.kind is Kind.RELEASE and one.what.get("event") == "preparing"), None)
    if begun is None:
        return
    end = next((one.time for one in told if one.kind in _ENDS and one.number >= begun.number), "")
    yield _endpoint(stack)
    yield Edge(rollout, _endpoint(stack).id, "tried", begun.time, end)


def _served(digest: str, stack: Stack, why: Why) -> Iterator[Part]:
    """From when to when the package was the champion's, as the audit record tells; else as the journal has it now."""
    ours, endpoint = stack.releases(digest), _endpoint(stack)
    spans, released, serves = list[Edge](), "", False
    for record in stack.records:
        what = record.what
        if what.get("release") in ours and record.kind in {Kind.RELEASE, Kind.PROMOTION}:
            released = _rollout_id(stack, str(what.get("rollout", "")))
        if record.kind not in {Kind.PROMOTION, Kind.RESTORE} or _wish(record):
            continue
        now = what.get("champion" if record.kind is Kind.RESTORE else "release") in ours
        if now and not serves:
            begun = released or _version(stack, [], digest)
            spans.append(Edge(begun, endpoint.id, "served", record.time, why=_said(what, why)))
        elif serves and not now:
            spans[-1] = replace(spans[-1], until=record.time)
        serves = now
    if stack.champion in ours and not serves:  # from before anything was recorded
        spans.append(Edge(_version(stack, [], digest), endpoint.id, "served"))
    if spans:
        yield endpoint
    yield from spans


def _retrained(digest: str, stack: Stack, job: str, why: Why) -> Iterator[Part]:
    """Who asked for the retraining, and agreed to it: what was said since the one before.

    The record has the name of the training job or, of an execution of a pipeline, that of the execution. The job in
    that one has another name. So the record of the candidate tells, too, which one it was.
    """
    told = [record for record in stack.records if record.kind is Kind.RETRAINING]
    ours = stack.releases(digest)
    candidates = (one.what for one in told if one.what.get("event") == "candidate" and one.what.get("release") in ours)
    jobs = {job, *(str(what.get("job")) for what in candidates)} - {""}
    asked: list[Record] = []
    for record in told:
        event = str(record.what.get("event"))
        if event in _ASKED and not record.what.get("job"):
            asked.append(record)
        elif event == "started":
            if record.what.get("job") in jobs:
                for one in [*asked, record]:
                    verb = _ASKED.get(str(one.what.get("event")), "began")
                    yield from _by(one.who, training_id(digest), verb, one.time, _words(one.what, why))
            asked = []


def _words(what: Mapping[str, Any], why: Why) -> str:
    trigger = what.get("trigger")
    if isinstance(trigger, dict):
        return str(trigger.get("said") or trigger.get("alarm") or trigger.get("kind", ""))
    return _said(what, why)


def _by(who: str, target: str, verb: Verb, at: str, why: str = "") -> Iterator[Part]:
    """Who did it, and that they did; nothing where nobody tells."""
    if not who or who == UNKNOWN:
        return
    function = who.startswith("function ")
    label = who.removeprefix("function ") if function else who.rpartition(":")[2]
    node = Node(f"who:{who}", "function" if function else "person", label, facts={"who": who})
    yield node
    yield Edge(node.id, target, verb, at, why=why)


def _endpoint(stack: Stack) -> Node:
    return Node(f"endpoint:{stack.endpoint}", "endpoint", f"endpoint {stack.endpoint}", facts={"stack": stack.name})


def _rollout_id(stack: Stack, name: str) -> str:
    return f"rollout:{stack.endpoint}/{name}"


def _version(stack: Stack, told: Sequence[Record], digest: str) -> str:
    """The version that was released; the package where the registry has it no more."""
    releases = {str(one.what.get("release")) for one in told}
    found = [one.arn for one in stack.versions if not told or one.release in releases]
    return found[-1] if found else digest
