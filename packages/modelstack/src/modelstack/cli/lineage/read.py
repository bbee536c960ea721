"""What a stack, and the other stacks of its project, know about a package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial

from modelstack.cli.agreement import approvals_of
from modelstack.cli.errors import OperatorError
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.platform.facts import PackageVersion
from modelstack.cli.target import Target, resolve, siblings
from modelstack.cli.view import releases
from modelstack.cli.view.audit_records import kept
from modelstack.cli.view.releases import journal_state
from modelstack.records.audit.record import AuditRecord, RecordKind, Signed, moment
from modelstack.records.lineage.facts import LineageVersion, Stack
from modelstack.records.lineage.graph import Graph
from modelstack.records.lineage.package import lineage
from modelstack.records.provenance.envelope import SignatureError, key_id
from modelstack.records.provenance.facts import Facts
from modelstack.rollout.core.state import RolloutState
from modelstack.services.sealed_packages import REGISTERED_BY, RegistryError

_AT_ONCE = 4
_KEY_DIGITS = 12
_LEAST = 4
"""The fewest digits that are accepted as the beginning of a digest."""


@dataclass(frozen=True)
class Fetched:
    """What a stack knows, what is proven about the package there, and what could not be read."""

    stack: Stack
    facts: Facts | None = None
    unread: tuple[str, ...] = ()


def read(target: Target, word: str | None = None) -> Graph:
    """The lineage of a package across the stacks of a project; `word` as in `find_digest`."""
    state, listed = journal_state(target), platform_of(target).package_store().digests()
    digest = find_digest(word, listed.values(), state)
    here = fetch(target, digest, listed, state)
    others, unread = _others(target, digest)
    found = [here, *others]
    facts = next((one.facts for one in found if one.facts is not None), None)
    unread += [line for one in found for line in one.unread]
    return lineage(digest, facts, [one.stack for one in found], unread)


def find_digest(word: str | None, known: Iterable[str], state: RolloutState) -> str:
    """The digest of the package that a digest, its beginning, or a name of its release means; None for the champion's.

    Raises OperatorError where none matches, or several do.
    """
    if word is None:
        if state.champion is None:
            raise OperatorError(f"nothing serves on endpoint {state.endpoint}", "Name the digest of a package.")
        return state.champion.package_digest
    bare = word.lower().removeprefix("sha256:")
    found = {one for one in known if len(bare) >= _LEAST and one.removeprefix("sha256:").startswith(bare)}
    found = found or {name.package for name in releases.known(state) if name.meant_by(word)}
    if len(found) > 1:
        raise OperatorError(f"{word} begins the digests of {len(found)} packages: {', '.join(sorted(found))}", None, 2)
    if not found:
        hint = "`modelstack console` lists the registry. A digest may be cut to its first digits, at least four."
        raise OperatorError(f"no package {word} is registered for endpoint {state.endpoint}", hint)
    return found.pop()


def _others(target: Target, digest: str) -> tuple[list[Fetched], list[str]]:
    """What the other stacks of the project know; none for an endpoint that was named without a stack."""
    if not target.stack:
        return [], ["other stacks, as the endpoint was named without its stack"]
    try:
        names = siblings(target.stack)
    except OperatorError as error:
        return [], [f"other stacks: {error}"]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(partial(_other, digest=digest, here=_account(target)), names))
    found = [one for one in answers if isinstance(one, Fetched)]
    return found, [one for one in answers if isinstance(one, str)]


def _account(target: Target) -> str:
    """The account of a stack, from its topic; empty when unknown."""
    return (str(target.outputs.get("alerts_topic")).split(":") + [""] * 5)[4]


def _other(name: str, digest: str, here: str) -> Fetched | str | None:
    """What another stack knows; None if it does not have the package, a sentence if it cannot be queried.

    Its registry is addressed by names, which resolve in the account of the shell's credentials: `here`.
    """
    try:
        target = resolve(name)
        if not target.has_journal:
            return None
        there = _account(target)
        if here and there and there != here:
            return f"stack {name}: it is in account {there}, and was asked with credentials of account {here}"
        listed = platform_of(target).package_store().digests()
        return fetch(target, digest, listed, journal_state(target)) if digest in listed.values() else None
    except OperatorError as error:
        return f"stack {name}: {error}"


def fetch(
    target: Target,
    digest: str,
    listed: Mapping[str, str],
    state: RolloutState,
    audited: tuple[tuple[AuditRecord, ...], list[str]] | None = None,
) -> Fetched:
    """What one stack knows about a package; `listed` maps version names to digests, newest first."""
    store, names = platform_of(target).package_store(), [name for name, one in listed.items() if one == digest]
    versions = tuple(version_of(store.package(name), digest) for name in reversed(names))
    champion = state.champion
    stack = Stack(
        target.stack or target.endpoint,
        target.endpoint,
        versions,
        champion=champion.id if champion else "",
        champion_digest=champion.package_digest if champion else "",
    )
    records, unread = audited or records_of(target, state)
    stack = replace(stack, records=records)
    agreed, more = _agreed(target, stack, digest)
    stack = replace(stack, records=(*records, *agreed))
    facts, keys, still = _proven(target, stack, digest)
    return Fetched(replace(stack, keys=keys), facts, (*unread, *more, *still))


def version_of(package: PackageVersion, digest: str) -> LineageVersion:
    """A version as the registry describes it."""
    more = dict(package.lineage)
    recipe, by = more.pop("recipe", ""), more.pop(REGISTERED_BY, "")
    return LineageVersion(
        arn=package.name,
        created=moment(package.made.timestamp()),
        release=package.view.release,
        digest=digest,
        recipe=recipe,
        image=package.image,
        archive=package.archive,
        approval=package.view.approval,
        why=package.why,
        by=by,
        more={name: text for name, text in more.items() if name not in {"package_digest", "manifest_sha256"}},
    )


def records_of(target: Target, state: RolloutState) -> tuple[tuple[AuditRecord, ...], list[str]]:
    """The audit record in order, stored and waiting, and what could not be read of it."""
    try:
        lines = kept(target)
    except OperatorError as error:
        return tuple(state.audit.waiting), [f"the audit record of {target.endpoint}: {error}"]
    found: dict[int, AuditRecord] = {}
    unread: list[str] = []
    for place, line in enumerate(lines, 1):
        try:
            record = Signed.from_line(line).record
        except (ValueError, KeyError, TypeError) as error:
            unread.append(f"audit record {place} of {target.endpoint}: {error}")
            continue
        found[record.number] = record
    found |= {record.number: record for record in state.audit.waiting}
    return tuple(found[number] for number in sorted(found)), unread


def _agreed(target: Target, stack: Stack, digest: str) -> tuple[list[AuditRecord], list[str]]:
    """Approvals of a release that has not begun: only its start puts them into the audit record."""
    known = {(one.what.get("release"), one.what.get("who")) for one in stack.records if one.kind is RecordKind.APPROVAL}
    found: list[AuditRecord] = []
    try:
        for release in sorted(stack.releases(digest)):
            for one in approvals_of(target, release):
                if (release, one.who) not in known:
                    what = {**asdict(one), "event": "agreed", "package": one.package_digest}
                    found.append(AuditRecord(0, moment(one.at), stack.endpoint, RecordKind.APPROVAL, one.who, what))
    except OperatorError as error:
        return found, [f"agreements on {stack.name}: {error}"]
    return found, []


def _proven(target: Target, stack: Stack, digest: str) -> tuple[Facts | None, dict[str, bool], Sequence[str]]:
    """What the stack signed about the package, its keys, and why nothing is proven, if so."""
    store, key = platform_of(target).package_store(), str(target.outputs.get("signing_key") or "").encode()
    try:
        keys = dict.fromkeys(store.signers(digest), False)
        if not key or not any(one.archive for one in stack.versions):
            return None, keys, [f"the documents of {digest} on {stack.name}, as no key to verify them is known"]
        facts = store.evidence(digest, key).verify(digest, key)
    except (RegistryError, SignatureError, OperatorError) as error:
        return None, {}, [f"the documents of {digest} on {stack.name}: {error}"]
    return facts, {**keys, key_id(key)[:_KEY_DIGITS]: True}, []
