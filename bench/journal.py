"""What a write of the journal costs on the local cloud, beside a few items and beside many.

    python -m bench journal

Two running clouds, whose tables hold few and many items. The journal's own class writes the same state again and again
through boto3, in turns, so that whatever else the machine does slows both. A cloud answers when the write is on disk.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.rows import Row, sized
from localcloud.testing import Cloud
from modelstack.platforms.aws.journal import DynamoJournal

_TABLE = "rollouts"
_FEW, _MANY, _WRITES = 1_000, 100_000, 400
_BATCH = 25  # items that BatchWriteItem takes


def rows() -> list[Row]:
    """The median of a write at 100,000 items over that at 1,000."""
    with TemporaryDirectory(prefix="modelstack-bench-") as name, ExitStack() as clouds:

        def write_beside(items: int) -> Callable[[], float]:
            cloud = Cloud(Path(name) / str(items))
            clouds.callback(cloud.stop)
            cloud.start()
            return _writing(cloud, items)

        writes = [write_beside(sized(_FEW, _BATCH)), write_beside(sized(_MANY, 2 * _BATCH))]
        took = [[write() for write in writes] for _ in range(sized(_WRITES, 5))]
    few, many = (statistics.median(column) for column in zip(*took, strict=True))
    peer = f"{few * 1e3:.1f} ms beside {_FEW:,} items, {many * 1e3:.1f} ms beside {_MANY:,}"
    return [Row("journal_write_ms", round(many / few, 2), "ratio", "<= 1.5", peer)]


def _writing(cloud: Cloud, items: int) -> Callable[[], float]:
    """Fill a table; what is answered writes the journal once more in it, and tells how many seconds that took."""
    dynamodb = cloud.client("dynamodb")
    dynamodb.create_table(
        TableName=_TABLE,
        KeySchema=[{"AttributeName": "endpoint", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "endpoint", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for first in range(0, items, _BATCH):
        puts = [{"PutRequest": {"Item": _item(number)}} for number in range(first, first + _BATCH)]
        dynamodb.batch_write_item(RequestItems={_TABLE: puts})
    journal = DynamoJournal(cache(cloud.client), _TABLE, "orders")
    state = journal.read().written()

    def write() -> float:
        nonlocal state
        begun = time.perf_counter()
        journal.put(state)
        seconds, state = time.perf_counter() - begun, state.written()
        return seconds

    return write


def _item(number: int) -> dict[str, Any]:
    """An item as large as a label with two answers."""
    return {"endpoint": {"S": f"id#{number}"}, "given": {"S": "x" * 300}, "since": {"N": str(number)}}
