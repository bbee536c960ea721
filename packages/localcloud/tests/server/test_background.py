"""Work that nobody waits for does not end unseen."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import localcloud
from localcloud.server import background


async def fail() -> None:
    raise FileNotFoundError("no python")


def test_an_error_that_ends_a_task_is_logged_while_others_still_hold_the_task(caplog):
    async def scenario() -> None:
        task = background.begin(fail(), "endpoint e")
        await asyncio.wait([task])
        await asyncio.sleep(0)
        assert "endpoint e ended by an error" in caplog.text
        assert "FileNotFoundError: no python" in caplog.text
        assert task.done()

    asyncio.run(scenario())


def test_a_task_that_ends_well_or_is_cancelled_is_not_spoken_of(caplog):
    async def scenario() -> None:
        await background.begin(asyncio.sleep(0), "short")
        task = background.begin(asyncio.sleep(1000), "long")
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)

    asyncio.run(scenario())
    assert caplog.text == ""


def test_an_error_in_one_turn_of_a_loop_is_logged_and_a_cancellation_goes_through(caplog):
    with background.log_errors("a turn"):
        raise OSError(28, "No space left on device")
    assert "a turn failed" in caplog.text
    assert "No space left on device" in caplog.text
    with pytest.raises(asyncio.CancelledError), background.log_errors("a turn"):
        raise asyncio.CancelledError


def test_every_task_of_the_cloud_is_begun_where_its_error_is_logged():
    sources = Path(localcloud.__file__).parent
    found = [path for path in sources.rglob("*.py") if ".create_task(" in path.read_text(encoding="utf-8")]
    assert found == [sources / "server" / "background.py"]
