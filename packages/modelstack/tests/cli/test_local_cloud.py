"""What `make up` shows of the start of the local cloud."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from localcloud import process
from localcloud.process import Running
from localcloud.setup import Places
from modelstack.cli.local.cloud import Local

SAID = "local cloud: the environment that it runs from was removed or installed again, so it is restarted"


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [(7, 8, SAID), (7, 7, ""), (None, 8, "")],
    ids=["restarted", "already running", "started"],
)
def test_a_restart_is_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: int | None, after: int, shown: str
) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "sample"\n')
    places = Places.of(tmp_path)
    places.state.mkdir()
    places.record.write_text(json.dumps({"localcloud": "/environment"}))
    found = [pid and Running(pid, 4566, "http://127.0.0.1:4566", ready=True) for pid in (before, after)]
    monkeypatch.setattr(process, "find", lambda state: found.pop(0))
    monkeypatch.setattr(Local, "_cloud", lambda self, *words: SAID)
    monkeypatch.setattr(Local, "point", lambda self: None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    console = Console(file=io.StringIO(), width=200)
    Local(places, "sample").start(console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().strip() == shown


def test_down_forgets_all_but_the_keys_that_shells_have(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "sample"\n')
    places = Places.of(tmp_path)
    state = places.server_record.parent
    keys = process.keys(state)
    (state / "s3").mkdir()
    (state / "s3" / "object").write_text("x")
    (state / "server.log").write_text("x")
    Local(places, "sample").forget()
    assert [path.name for path in state.iterdir()] == ["credentials"]
    assert process.keys(state) == keys
