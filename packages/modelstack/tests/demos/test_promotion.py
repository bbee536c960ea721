"""The stacks of `make promote`: each in its own account, and what the story says at its end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rich.console import Console

from demos.promotion import __main__ as promote
from demos.promotion.__main__ import STACKS
from demos.promotion.demo_output import DemoOutput
from localcloud.setup import Places
from modelstack.cli.errors import OperatorError
from modelstack.cli.local.cloud import ALLOWED, Local, account_of, keys
from modelstack.cli.local.stack import Done, Stack
from modelstack.cli.target import LOCAL
from tests.process import ROOT


def stack(folder: Path, **config: Any) -> Stack:
    """A stack with a file of its own."""
    path = folder / "Pulumi.local-x.yaml"
    path.write_text(yaml.safe_dump({"config": config}))
    return Stack("local-x", config=path)


def test_each_stack_names_its_account_and_lets_the_next_one_take_its_champion() -> None:
    stacks = [Stack(name) for name in STACKS]
    accounts = [account_of(one) for one in stacks]
    promotions = [one.written()["config"]["modelstack:promotion"] for one in stacks]
    assert all(name.startswith(LOCAL) for name in STACKS), "no other stack is kept to the local cloud"
    assert len({*accounts, "000000000000"}) == 4
    assert [one.get("from") for one in promotions] == [None, *STACKS[:-1]]
    assert [one.get("to", []) for one in promotions] == [[accounts[1]], [accounts[2]], []]


def test_the_keys_of_a_stack_are_those_of_the_account_that_its_file_names_if_any(tmp_path: Path) -> None:
    places = Places(tmp_path, "modelstack", tmp_path)
    first, again, other = (
        keys(places, stack(tmp_path, **{ALLOWED: [account]})) for account in ("222222222222", "222222222222", "1" * 12)
    )
    assert first == again != other
    assert set(first) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert keys(places, stack(tmp_path)) == {}, "the cloud's own"


@pytest.mark.parametrize("named", [[], ["1" * 12, "2" * 12], "111111111111", ["12"], ["../../etc/x12"]])
def test_an_account_of_another_form_is_told_with_the_field(named: object, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=rf"stack local-x: {ALLOWED}.*12 digits"):
        keys(Places(tmp_path, "modelstack", tmp_path), stack(tmp_path, **{ALLOWED: named}))


def test_one_check_that_does_not_hold_is_told_and_makes_the_story_fail(capsys: pytest.CaptureFixture[str]) -> None:
    teller = DemoOutput(Console(width=200), Local(Places.of(ROOT), "modelstack"))
    teller.check("asked twice", True)
    teller.check("another", True)
    assert teller.verdict()
    assert "NO" not in capsys.readouterr().out
    teller.check("asked twice", False)
    teller.check("asked twice", True)
    assert not teller.verdict()
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()] == ["NO", "yes"]


def test_what_a_stopped_story_restored_is_lifted_and_what_a_person_restored_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = DemoOutput(Console(width=200), Local(Places.of(ROOT), "modelstack"))
    restored, typed = {"by": ""}, list[tuple[str, ...]]()
    place: Any = SimpleNamespace(
        name="prod",
        stack=SimpleNamespace(name="local-3-prod", outputs=lambda: {"journal_table": "rollouts"}),
        status=lambda: {"restored": restored["by"]},
    )
    monkeypatch.setattr(out, "typed", lambda _, *words: typed.append(words) or Done(0, ""))
    promote._unpinned(out, place)
    restored["by"] = f"release 3f0c, in place of what checkout and config ask for: {promote._BACK}"
    promote._unpinned(out, place)
    assert [words[:2] for words in typed] == [("restore", "--clear")]
    assert out.verdict()
    restored["by"] = "release 3f0c, in place of what checkout and config ask for: it sold more"
    with pytest.raises(OperatorError, match=r"local-3-prod.*release 3f0c.*it sold more"):
        promote._unpinned(out, place)
