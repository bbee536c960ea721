"""Which variants with traffic a journal does not know, and what is refused for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelstack.rollout.core.event import Event
from modelstack.rollout.core.live import Live, Variant
from modelstack.rollout.core.lost import LostJournal, refuse_lost, unknown_variants
from modelstack.rollout.core.state import RolloutState
from tests.rollout.worlds import release

FULL, NONE = Variant(1, 1, 1), Variant(0, 0, 1)
STARTS, STOPS = Variant(0, 1, 1), Variant(1, 0, 1)
OF_A = RolloutState("e", revision=3, champion=release("a"))
TRIED = replace(OF_A, champion=release("c"), history=(Event(0, "r", "began", "a"),))
REJECTED: dict[str, Any] = {"a": None}


def live(status: Any = "ready", **variants: Variant) -> Live:
    return Live(status, "pair", {f"v-{name}": item for name, item in variants.items()})


@pytest.mark.parametrize(
    ("state", "found", "variants"),
    [
        (OF_A, None, ()),
        (OF_A, live(a=FULL), ()),
        (OF_A, live(b=FULL), ("v-b",)),
        (OF_A, live(a=FULL, b=FULL), ()),
        (OF_A, live(a=NONE, b=FULL), ("v-b",)),
        (OF_A, live(a=STOPS, b=STARTS), ()),
        (OF_A, live(b=STARTS), ("v-b",)),
        (OF_A, live(b=STOPS), ("v-b",)),
        (OF_A, live(b=NONE), ()),
        (OF_A, live("failed", b=Variant(1, 1, 0)), ()),
        (OF_A, live("failed", b=FULL), ("v-b",)),
        (OF_A, live("changing", b=Variant(1, 1, 0)), ("v-b",)),
        (replace(OF_A, champion=release("b"), previous=release("a")), live(a=FULL), ()),
        (TRIED, live(a=FULL), ()),
        (replace(OF_A, champion=release("c"), rejected=REJECTED), live(a=FULL), ()),
        (RolloutState("e", rejected=REJECTED), live(a=FULL, b=FULL), ("v-b",)),
        (RolloutState("e"), live(a=FULL, b=NONE), ("v-a",)),
    ],
)
def test_variants_with_traffic_that_no_part_of_the_journal_names_are_unknown(
    state: RolloutState, found: Live | None, variants: tuple[str, ...]
) -> None:
    assert unknown_variants(state, found) == variants


def test_only_an_empty_journal_takes_what_serves_alone_for_the_release_that_is_made_again() -> None:
    empty = RolloutState("e")
    refuse_lost(empty, live(b=FULL), "v-b")
    for state, found in ((empty, live(b=FULL, c=FULL)), (empty, live(c=FULL)), (OF_A, live(b=FULL))):
        with pytest.raises(LostJournal):
            refuse_lost(state, found, "v-b")
