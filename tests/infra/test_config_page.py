"""The reference of the config is what the code makes of it."""

from __future__ import annotations

from infra.config.page import PAGE, page
from infra.config.settings import Settings


def test_the_page_in_the_tree_is_made_from_the_present_fields() -> None:
    assert PAGE.read_text() == page(), "the config has changed: run `make docs`"


def test_every_section_and_kind_of_strategy_has_its_table() -> None:
    made = page()
    assert [f"## `modelstack:{name}`" in made for name in Settings.model_fields] == [True] * len(Settings.model_fields)
    for kind in ("all_at_once", "canary", "linear", "steps", "ab", "shadow"):
        assert f"### `strategy`, `kind: {kind}`" in made


def test_a_row_says_what_is_allowed_and_the_default() -> None:
    assert "| `instance_count` | a whole number from 1 to 100 | `1` | Instances per variant. |" in page()
