"""The reference of the policies is what the rules make of it."""

from __future__ import annotations

from modelstack.policy.page import PAGE, page


def test_the_page_in_the_tree_is_made_from_the_present_rules() -> None:
    assert PAGE.read_text() == page(), "a rule has changed: run `make docs`"
