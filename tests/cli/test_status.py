"""`modelstack status` says what a trial waits for, as `watch` and `explain` do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import main
from cli.retrain import Retraining
from cli.target import Target
from retraining.record import Record
from tests.cli.conftest import plan
from tests.cli.played import look
from tests.simulator.platform import World

Status = Callable[..., str]


@pytest.fixture
def status(world: World, monkeypatch: pytest.MonkeyPatch) -> Status:
    """Runs `modelstack status` on a world whose metrics can be read; nothing else of a cloud is there."""

    def observer(*_: Any) -> Any:
        return world.controller()

    def take(_: Target, *, decision: Any, **__: Any) -> Any:
        seen = look(world)
        assert seen.trial is None or decision is not None, "the metrics were not looked at"
        return seen

    monkeypatch.setattr("cli.commands.looking.find", lambda _: Target("local", "endpoint", "", {}))
    monkeypatch.setattr("cli.view.watching._observer", observer)
    monkeypatch.setattr("cli.view.watching.take", take)
    for room in ("served", "budget", "quality"):
        monkeypatch.setattr(f"cli.view.{room}.read", lambda *_: ())
    monkeypatch.setattr("cli.view.delay.read", lambda _: 0.0)
    monkeypatch.setattr("cli.view.kept_aside.read", lambda _: {})
    monkeypatch.setattr("cli.retrain.look", lambda _: Retraining(Record(), None, None))
    return lambda *words: CliRunner().invoke(main, ["status", *words]).stdout


def test_status_says_what_a_trial_waits_for(begin: Callable[..., World], status: Status) -> None:
    begin(plan(), 50)
    told = json.loads(status("--json"))["trial"]
    assert (told["requests"] > 100, told["waits_for"].startswith("waiting for evidence: not yet known")) == (True, True)
    assert "on trial b, step 1 of 2: waiting for evidence: not yet known: " in status()


def test_status_without_a_trial_has_no_line_of_it(status: Status) -> None:
    assert "on trial" not in status()
    assert json.loads(status("--json"))["trial"] is None
