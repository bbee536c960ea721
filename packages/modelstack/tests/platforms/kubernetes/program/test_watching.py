from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from modelstack.platforms.kubernetes.kinds import ROLLOUT
from modelstack.platforms.kubernetes.program import watching
from modelstack.platforms.kubernetes.program.watching import Watching
from tests.platforms.kubernetes.fake_api import FakeApi


def until(true: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.01)


class Seen:
    def __init__(self, api: FakeApi) -> None:
        self.told: list[str] = []
        self.watching = Watching(
            api.as_api,
            ROLLOUT,
            lambda one: one["spec"],
            lambda one: self.told.append(f"+{one['metadata']['name']}"),
            lambda name: self.told.append(f"-{name}"),
        )
        self.thread = threading.Thread(target=self.watching.run, daemon=True)
        self.thread.start()

    def stop(self, api: FakeApi) -> None:
        self.watching.stopping.set()
        api.end_watches()
        self.thread.join(10)
        assert not self.thread.is_alive()


def test_what_is_there_and_what_happens_is_told_once_each() -> None:
    api = FakeApi()
    api.put(ROLLOUT, "a", spec=1)
    seen = Seen(api)
    until(lambda: len(api.watchers) == 1)
    api.put(ROLLOUT, "b", spec=1)
    api.put(ROLLOUT, "a", spec=1, status="what does not matter")
    api.put(ROLLOUT, "a", spec=2)
    api.delete(ROLLOUT, "b")
    until(lambda: len(seen.told) == 4)
    seen.stop(api)
    assert seen.told == ["+a", "+b", "+a", "-b"]
    assert seen.watching.names == {"a"}


@pytest.mark.slow
def test_what_happens_while_nobody_watches_is_told_afterwards(monkeypatch: Any) -> None:
    monkeypatch.setattr(watching, "_FIRST", 0.05)
    api = FakeApi()
    api.put(ROLLOUT, "a", spec=1)
    api.put(ROLLOUT, "b", spec=1)
    seen = Seen(api)
    until(lambda: len(api.watchers) == 1)
    api.down = True
    api.end_watches()
    api.delete(ROLLOUT, "a")
    api.put(ROLLOUT, "b", spec=2)
    time.sleep(0.2)
    assert "a" in seen.watching.names, "an API server that is down says nothing of what is there"
    api.down = False
    until(lambda: len(api.watchers) == 1)
    seen.stop(api)
    assert sorted(seen.told[2:]) == ["+b", "-a"]
