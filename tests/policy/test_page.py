"""The reference of the policies is what the rules make of it."""

from __future__ import annotations

from policy.page import PAGE, page
from policy.rules import RULES


def test_the_page_in_the_tree_is_made_from_the_present_rules() -> None:
    assert PAGE.read_text() == page(), "a rule has changed: run `make docs`"


def test_every_rule_has_a_row_with_its_control() -> None:
    made = page()
    for rule in RULES:
        (row,) = [line for line in made.splitlines() if line.startswith(f"| `{rule.name}` |")]
        assert rule.control in row and rule.asks in row
