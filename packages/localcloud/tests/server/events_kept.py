"""Run by the local cloud's Python: what becomes of accepted events while the disk is full, as JSON."""

import asyncio
import json
import os
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

os.environ.update(PERSIST_STATE="1", STATE_DIR=tempfile.mkdtemp(), LOCALCLOUD_RETRY_SECONDS="0.2")

from localcloud.server.invocations import Invocations
from localcloud.server.platform import SystemClock

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:deleted"


class OnFullDisk(Invocations):
    """Its disk is full: the first look for events fails, and so does every deletion until there is room."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, SystemClock(), lambda *_: None, lambda: None)
        self.looks = self.deletions = 0
        self.room = False

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        self.looks += statement.startswith("SELECT id, function, due")
        self.deletions += statement.startswith("DELETE")
        if self.looks == 1 or (statement.startswith("DELETE") and not self.room):
            raise sqlite3.OperationalError("database or disk is full")
        return super()._execute(statement, values)


async def main() -> dict[str, object]:
    queue = OnFullDisk(Path(tempfile.mkdtemp()) / "invocations.sqlite3")
    queue.submit(FUNCTION, {"number": 1})
    await queue.start()
    await asyncio.sleep(0.9)
    runs, queue.room = queue.deletions, True
    left = 1
    for _ in range(100):
        [(left,)] = queue._execute("SELECT count(*) FROM invocation")
        if not left:
            break
        await asyncio.sleep(0.05)
    await queue.stop()
    return {"tried again, not in a rush": 1 <= runs <= 5, "left once there is room": left}


print(json.dumps(asyncio.run(main())))
