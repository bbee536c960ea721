"""Queries a stack for a prediction and for what is known of the version that gave it."""

from __future__ import annotations

from collections.abc import Sequence

from modelstack.cli.errors import OperatorError
from modelstack.cli.lineage.read import fetch, records_of
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.platform.package_store import newest
from modelstack.cli.target import Target
from modelstack.cli.trace.answer import Trace, release_of, share_of, trace
from modelstack.cli.trace.resolve import resolve
from modelstack.cli.view.releases import journal_state, known
from modelstack.monitoring.predictions import Window
from modelstack.records.audit.record import AuditRecord
from modelstack.records.lineage.package import lineage
from modelstack.rollout.core.state import RolloutState

_VERSIONS = 100  # searched for a release that neither the audit record nor the journal names


def read(target: Target, word: str, window: Window) -> Trace:
    """The chain of a prediction, by its inference or event id or the beginning of one."""
    found = platform_of(target).prediction(word, window)
    state = journal_state(target)
    resolved = resolve(
        word,
        found,
        lambda one: "copies" in share_of(state.history, one),
        endpoint=target.endpoint,
        command=target.commands.modelstack,
        window=window,
    )
    release, audited = release_of(resolved.prediction.variant), records_of(target, state)
    digest, unread = _package(target, release, state, audited[0])
    if not digest:
        return trace(resolved, target.endpoint, state.history, unread=[*found.unread, *audited[1], *unread])
    here = fetch(target, digest, platform_of(target).package_store().digests(), state, audited)
    graph = lineage(digest, here.facts, [here.stack])
    return trace(resolved, target.endpoint, state.history, graph, here.facts, unread=[*found.unread, *here.unread])


def _package(
    target: Target, release: str, state: RolloutState, records: Sequence[AuditRecord]
) -> tuple[str, tuple[str, ...]]:
    """The digest of a release's package, empty if unknown, and why the registry cannot be read."""
    recorded = (str(one.what.get("package") or "") for one in reversed(records) if one.what.get("release") == release)
    named = (one.package for one in known(state) if one.id == release)
    if digest := next(filter(None, (*recorded, *named)), ""):
        return digest, ()
    try:
        listed = newest(platform_of(target).versions(), _VERSIONS)
    except OperatorError as error:
        return "", (str(error),)
    return next((one.view.digest for one in listed if one.view.release == release), ""), ()
