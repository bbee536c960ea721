"""The second half of a lineage: where a package was registered, tried and served, and by whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from modelstack.records.audit.chain import UNKNOWN
from modelstack.records.audit.record import AuditRecord, RecordKind, moment
from modelstack.records.lineage.facts import LineageVersion, Stack, version_name
from modelstack.records.lineage.graph import Edge, Node, Verb
from modelstack.records.lineage.upstream import Part, job_of, training_id
from modelstack.records.reason import reason_text
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.verdict import Outcome

if TYPE_CHECKING:
    from modelstack.records.provenance.facts import Facts

_ENDS = {RecordKind.PROMOTION, RecordKind.VERDICT, RecordKind.RESTORE}
_TO_ROLLOUTS: Mapping[RecordKind, Verb] = {
    RecordKind.RELEASE: Verb.BEGAN,
    RecordKind.APPROVAL: Verb.APPROVED,
    **dict.fromkeys(_ENDS, Verb.ENDED),
}
_TO_VERSIONS: Mapping[RecordKind, Verb] = {RecordKind.EXEMPTION: Verb.EXEMPTED, RecordKind.CLEAR: Verb.CLEARED}
_REQUESTS: Mapping[str, Verb] = {"restore": Verb.RESTORED, "restore_lifted": Verb.LIFTED}
"""Events by which a person requests an earlier version, or withdraws that: not part of a rollout."""
_RETRAINING: Mapping[str, Verb] = {"asked": Verb.ASKED, "approved": Verb.APPROVED, "declined": Verb.DECLINED}
_LATEST = 5


def downstream(digest: str, facts: Facts | None, stacks: Sequence[Stack]) -> Iterator[Part]:
    """Everything from the package on; `facts` is None if nothing is proven about it."""
    known = {version.arn for stack in stacks for version in stack.versions}
    for stack in stacks:
        for version in stack.versions:
            yield from _registered(digest, stack, version, known)
        ours = [one for one in stack.records if one.what.get("release") in stack.releases(digest)]
        for record in ours:
            if verb := _request(record):
                yield from _deed(record.who, _version(stack, [record], digest), verb, record.time, _why(record))
        of_rollouts = [one for one in ours if one.kind is not RecordKind.RETRAINING and _request(one) is None]
        yield from _rollouts(digest, stack, of_rollouts)
        yield from _served(digest, stack)
        yield from _retrained(digest, stack, job_of(facts))


def ended(history: Sequence[Event], endpoint: str) -> list[Node]:
    """The last rollouts that ended, oldest first, each with its last verdict: a promotion may be rolled back later."""
    found: dict[str, Node] = {}
    for event in history:
        if event.kind in get_args(Outcome):
            found.pop(event.rollout_id, None)
            verdict = {"at": moment(event.at), "outcome": event.kind, "why": event.reason.text if event.reason else ""}
            stack = Stack(endpoint, endpoint)
            found[event.rollout_id] = _rollout_node(stack, event.rollout_id, event.release, "", [verdict])
    return list(found.values())[-_LATEST:]


def _registered(digest: str, stack: Stack, version: LineageVersion, known: set[str]) -> Iterator[Part]:
    facts = {
        "stack": stack.name,
        "release": version.release,
        "approval": version.approval,
        "why": version.why,
        "image": version.image,
        "archive": version.archive,
    }
    yield Node(version.arn, "version", version_name(version.arn), version.created, facts)
    source = version.more.get("promoted_from")
    if source and source not in known:
        yield Node(source, "version", version_name(source), facts={"arn": source})
        yield Edge(digest, source, Verb.REGISTERED)
    verb = Verb.PROMOTED if source else Verb.REGISTERED
    yield Edge(source or digest, version.arn, verb, version.created)
    yield from _deed(version.by, version.arn, verb, version.created)


def _request(record: AuditRecord) -> Verb | None:
    return _REQUESTS.get(str(record.what.get("event"))) if record.kind is RecordKind.RESTORE else None


def _rollouts(digest: str, stack: Stack, records: Sequence[AuditRecord]) -> Iterator[Part]:
    by_name: dict[str, list[AuditRecord]] = {}
    for record in records:
        by_name.setdefault(str(record.what.get("rollout", "")), []).append(record)
    for name, ours in by_name.items():
        version = rollout = _version(stack, ours, digest)
        if any(one.kind is RecordKind.RELEASE or one.kind in _ENDS for one in ours):
            rollout = _rollout_id(stack, name)
            yield from _rollout(stack, name, version, ours)
        for record in ours:
            yield from _deed_of(record, rollout, version)


def _rollout(stack: Stack, name: str, version: str, records: Sequence[AuditRecord]) -> Iterator[Part]:
    first = records[0]
    ends = [
        {"at": one.time, "outcome": str(one.what.get("event")), "why": _why(one), "who": one.who}
        for one in records
        if one.kind in _ENDS
    ]
    node = _rollout_node(stack, name, first.what.get("release", ""), first.time, ends)
    yield node
    yield Edge(version, node.id, Verb.RELEASED, first.time)
    trial = next(
        (one for one in records if one.kind is RecordKind.RELEASE and one.what.get("event") == "preparing"), None
    )
    if trial is not None:
        end = next((one.time for one in records if one.kind in _ENDS and one.number >= trial.number), "")
        yield _endpoint(stack)
        yield Edge(node.id, _endpoint(stack).id, Verb.TRIED, trial.time, end)


def _rollout_node(stack: Stack, name: str, release: str, at: str, verdicts: Sequence[Mapping[str, str]]) -> Node:
    outcome = verdicts[-1]["outcome"].replace("_", " ") if verdicts else "goes on"
    facts = {"stack": stack.name, "release": release, "verdicts": verdicts}
    return Node(_rollout_id(stack, name), "rollout", f"rollout {name}: {outcome}", at, facts)


def _deed_of(record: AuditRecord, rollout: str, version: str) -> Iterator[Part]:
    what, why = record.what, _why(record)
    if what.get("event") == "agreed":
        yield from _deed(
            str(what.get("who") or record.who), version, Verb.AGREED, record.time, str(what.get("why", ""))
        )
    elif verb := _TO_VERSIONS.get(record.kind):
        yield from _deed(record.who, version, verb, record.time, why)
    elif verb := _TO_ROLLOUTS.get(record.kind):
        if verb is Verb.ENDED:
            why = ": ".join(filter(None, (str(what.get("event", "")).replace("_", " "), why)))
        yield from _deed(record.who, rollout, verb, record.time, why)
    elif record.kind is RecordKind.DECISION and _by_person(what) and what.get("event") != "promoting":
        yield from _deed(record.who, rollout, Verb.TOOK_BACK, record.time, why)


def _why(record: AuditRecord) -> str:
    return reason_text(record.what) if record.what.get("reason") or record.what.get("said") else ""


def _by_person(what: Mapping[str, Any]) -> bool:
    reason = what.get("reason")
    return isinstance(reason, dict) and reason.get("source") == "person"


def _served(digest: str, stack: Stack) -> Iterator[Part]:
    """The periods in which the package served, by the audit record; else what the journal says now."""
    ours, endpoint = stack.releases(digest), _endpoint(stack)
    spans, released, serves = list[Edge](), "", False
    for record in stack.records:
        what = record.what
        if what.get("release") in ours and record.kind in {RecordKind.RELEASE, RecordKind.PROMOTION}:
            released = _rollout_id(stack, str(what.get("rollout", "")))
        if record.kind not in {RecordKind.PROMOTION, RecordKind.RESTORE} or _request(record):
            continue
        now = what.get("champion" if record.kind is RecordKind.RESTORE else "release") in ours
        if now and not serves:
            source = released or _version(stack, [], digest)
            spans.append(Edge(source, endpoint.id, Verb.SERVED, record.time, why=_why(record)))
        elif serves and not now:
            spans[-1] = replace(spans[-1], until=record.time)
        serves = now
    if stack.champion in ours and not serves:  # from before anything was recorded
        spans.append(Edge(_version(stack, [], digest), endpoint.id, Verb.SERVED))
    if spans:
        yield endpoint
    yield from spans


def _retrained(digest: str, stack: Stack, job: str) -> Iterator[Part]:
    """Who requested and approved the retraining, by the records since the previous one.

    A record names the training job or the pipeline execution, whose job has another name: so the candidate's record is
    read too.
    """
    records, ours = [one for one in stack.records if one.kind is RecordKind.RETRAINING], stack.releases(digest)
    candidates = (one.what for one in records if one.what.get("event") == "candidate")
    jobs = {job, *(str(what.get("job")) for what in candidates if what.get("release") in ours)} - {""}
    before: list[AuditRecord] = []
    for record in records:
        event = str(record.what.get("event"))
        if event in _RETRAINING and not record.what.get("job"):
            before.append(record)
        elif event == "started":
            for one in [*before, record] if record.what.get("job") in jobs else ():
                verb = _RETRAINING.get(str(one.what.get("event")), Verb.BEGAN)
                yield from _deed(one.who, training_id(digest), verb, one.time, _trigger(one))
            before = []


def _trigger(record: AuditRecord) -> str:
    trigger = record.what.get("trigger")
    if isinstance(trigger, dict):
        return str(trigger.get("said") or trigger.get("alarm") or trigger.get("kind", ""))
    return _why(record)


def _deed(who: str, target: str, verb: Verb, at: str, why: str = "") -> Iterator[Part]:
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


def _version(stack: Stack, records: Sequence[AuditRecord], digest: str) -> str:
    """The version that was released; the package if it is no longer in the registry."""
    releases = {str(one.what.get("release")) for one in records}
    found = [one.arn for one in stack.versions if not records or one.release in releases]
    return found[-1] if found else digest
