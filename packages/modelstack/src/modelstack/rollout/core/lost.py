"""A journal that was lost, or restored from an old backup, cannot say what serves. Nothing is decided on it."""

from __future__ import annotations

from modelstack.rollout.core.errors import Unavailable
from modelstack.rollout.core.live import Live
from modelstack.rollout.core.release import variant
from modelstack.rollout.core.state import RolloutState


class LostJournal(Unavailable):
    """The endpoint serves a release that its journal does not know; the message says how to recover."""


def unknown_variants(state: RolloutState, live: Live | None) -> tuple[str, ...]:
    """The variants that get traffic although the journal does not know them; empty if it knows what serves.

    A known variant with traffic shows that the journal is not older than what serves: others next to it came from a
    late controller or from hand, and the rollout removes them. Before the first champion nothing else may serve.
    """
    if live is None or (live.status == "failed" and not any(item.instances for item in live.variants.values())):
        return ()
    shares, going = live.shares(), live.shares(desired=True)
    serving = [name for name in live.variants if shares[name] > 0 or going[name] > 0]
    known = {item.variant for item in state.releases()} | {variant(name) for name in state.rejected}
    known |= {variant(event.release) for event in state.history}
    foreign = tuple(name for name in serving if name not in known)
    return foreign if state.champion is None or len(foreign) == len(serving) else ()


def refuse_lost(state: RolloutState, live: Live | None, target: str = "") -> None:
    """Raise LostJournal if the journal does not know what serves.

    `target` is a variant to be released: before the first champion it may be what serves alone, since then releasing it
    changes no traffic. That is how a lost journal is made again.
    """
    found = unknown_variants(state, live)
    if not found or live is None or (state.champion is None and found == (target,)):
        return
    names = " and ".join(found)
    has = f"is at revision {state.revision}" if state.revision else "is empty"
    raise LostJournal(
        f"{state.endpoint} serves {names} (config {live.config}), which its journal does not know: the journal {has}, "
        "so it was lost, or restored from an old backup. Nothing was changed. Restore a newer journal, or release "
        f"exactly what serves ({names}), which then becomes the champion: docs/how-to/recover.md"
    )
