"""The reference of the commands is what the code makes of it."""

from __future__ import annotations

from modelstack.cli.commands_page import PAGE, page
from modelstack.cli.main import main


def test_the_page_in_the_tree_is_made_from_the_present_commands() -> None:
    assert PAGE.read_text() == page(), "a command has changed: run `make docs`"


def test_every_command_has_its_section_and_every_option_says_what_it_does() -> None:
    made = page()
    for name, command in main.commands.items():
        assert f"## `modelstack {name}" in made
        for item in command.params:
            assert getattr(item, "help", "") or item.param_type_name == "argument", f"{name} {item.opts[0]} has no help"


def test_a_row_says_what_is_allowed_and_the_default() -> None:
    assert "| `--every FLOAT` | Look again after so many seconds. From 0.5 to 60. Default: `1.0`. |" in page()


def test_an_option_within_code_is_not_marked_again() -> None:
    assert "`modelstack watch --next --for 3600`" in page()
