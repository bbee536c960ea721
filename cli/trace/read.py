"""Asks a stack which of its predictions bears an id, and what is known of the version that gave it."""

from __future__ import annotations

from collections.abc import Sequence

from audit.record import Record
from cli.errors import OperatorError
from cli.lineage.chain import lineage
from cli.lineage.read import look, records_of
from cli.platform.choose import platform_of
from cli.target import Target
from cli.trace.chain import Known, Trace, release_of, share_of, trace
from cli.trace.chosen import chosen
from cli.view.records import why
from cli.view.releases import journal_state, known
from monitoring.predictions import Window
from rollout.core.state import RolloutState

_VERSIONS = 100  # that are looked through for a release that neither the audit record nor the journal names


def read(target: Target, word: str, window: Window) -> Trace:
    """The chain of a prediction.

    Args:
        target: The stack whose endpoint gave it.
        word: The inference id, the event id, or the beginning of one.
        window: When it was given, as far as somebody says.

    Raises:
        OperatorError: None is found, several are meant, or the stack does not answer.
    """
    found = platform_of(target).prediction(word, window)
    state = journal_state(target)
    meant = chosen(
        word,
        found,
        lambda one: "copies" in share_of(state.history, one),
        endpoint=target.endpoint,
        asked=target.commands.modelstack,
        window=window,
    )
    release, audited = release_of(meant.prediction.variant), records_of(target, state)
    digest, unasked = _package(target, release, state, audited[0])
    if not digest:
        return trace(meant, Known(target.endpoint, state.history, unread=[*found.unread, *audited[1], *unasked]))
    here = look(target, digest, platform_of(target).shelf().digests(), state, audited)
    graph = lineage(digest, here.facts, [here.stack], why)
    return trace(meant, Known(target.endpoint, state.history, graph, here.facts, [*found.unread, *here.unread]))


def _package(
    target: Target, release: str, state: RolloutState, records: Sequence[Record]
) -> tuple[str, tuple[str, ...]]:
    """The digest of the package of a release, empty where nobody knows it; and why the registry does not tell."""
    told = (str(one.what.get("package") or "") for one in reversed(records) if one.what.get("release") == release)
    named = (one.package for one in known(state) if one.id == release)
    if digest := next(filter(None, (*told, *named)), ""):
        return digest, ()
    try:
        listed = platform_of(target).packages(_VERSIONS)
    except OperatorError as error:
        return "", (str(error),)
    return next((one.view.digest for one in listed if one.view.release == release), ""), ()
