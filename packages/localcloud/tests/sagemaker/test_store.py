"""State that survives, or says why not."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys

import pytest

from localcloud.sagemaker.errors import StateUnwritable
from localcloud.sagemaker.store import Store

from .conftest import run


def limit(store: Store, statement: str) -> None:
    """Make the open database refuse to grow, as a full disk does, or to be written."""
    assert store._connection is not None
    store._thread.submit(store._connection.execute, statement).result()


def test_documents_are_there_again_after_the_file_is_opened_again(tmp_path):
    async def scenario():
        store = Store(tmp_path / "state.sqlite3")
        await store.open()
        async with store.change() as change:
            change.put("model", "a", {"n": 1})
            change.put("model", "b", {"n": 2})
        async with store.change() as change:
            change.delete("model", "a")
        await store.close()
        again = Store(tmp_path / "state.sqlite3")
        await again.open()
        assert again.all("model") == [{"n": 2}]
        await again.close()

    run(scenario())


def test_a_change_that_fails_half_way_is_not_kept(tmp_path):
    async def scenario():
        store = Store(tmp_path / "state.sqlite3")
        await store.open()
        with pytest.raises(RuntimeError):
            async with store.change() as change:
                change.put("model", "a", {})
                raise RuntimeError
        assert store.all("model") == []
        await store.close()

    run(scenario())


@pytest.mark.parametrize("statement", ["PRAGMA max_page_count=1", "PRAGMA query_only=ON"])
def test_a_disk_that_is_full_or_read_only_is_told_and_leaves_no_half_state(tmp_path, statement):
    async def scenario():
        store = Store(tmp_path / "state.sqlite3")
        await store.open()
        async with store.change() as change:
            change.put("model", "a", {"n": 1})
        limit(store, statement)
        with pytest.raises(StateUnwritable, match=r"state\.sqlite3.*Nothing was changed"):
            async with store.change() as change:
                change.put("model", "a", {"n": 2})
                change.put("model", "b", {"n": 3, "filler": "x" * 1_000_000})
        assert store.all("model") == [{"n": 1}]
        limit(store, "PRAGMA max_page_count=1000000")
        limit(store, "PRAGMA query_only=OFF")
        async with store.change() as change:
            change.put("model", "b", {"n": 3})
        await store.close()
        with sqlite3.connect(tmp_path / "state.sqlite3") as connection:
            assert connection.execute("SELECT name, body FROM documents").fetchall() == [
                ("a", '{"n":1}'),
                ("b", '{"n":3}'),
            ]

    run(scenario())


def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / "state.sqlite3").write_text("something else" * 100)
    with pytest.raises(StateUnwritable, match="not a database"):
        run(Store(tmp_path / "state.sqlite3").open())


def test_a_document_that_was_read_is_the_readers_own(tmp_path):
    async def scenario():
        store = Store(tmp_path / "state.sqlite3")
        await store.open()
        async with store.change() as change:
            change.put("model", "a", {"list": [1]})
        found = store.get("model", "a")
        assert found is not None
        found["list"].append(2)
        assert store.get("model", "a") == {"list": [1]}
        await store.close()

    run(scenario())


def test_what_was_acknowledged_survives_kill_9(tmp_path):
    program = """
import asyncio, sys
from pathlib import Path
from localcloud.sagemaker.store import Store

async def main():
    store = Store(Path(sys.argv[1]))
    await store.open()
    number = 0
    while True:
        async with store.change() as change:
            change.put("n", str(number), {"n": number})
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""
    file = tmp_path / "state.sqlite3"
    command = [sys.executable, "-c", program, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(50)][-1]
        writer.kill()
    with sqlite3.connect(file) as connection:
        (kept,) = connection.execute("SELECT count(*) FROM documents").fetchone()
    assert kept >= acknowledged + 1


@pytest.mark.e2e
def test_a_client_is_told_of_a_full_disk_and_nothing_is_half_done(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1, b=0)
            limit(inside.service._store, "PRAGMA query_only=ON")
            wish = [{"VariantName": "b", "DesiredWeight": 1}]
            calls = [
                inside.call("CreateModelPackageGroup", ModelPackageGroupName="g"),
                inside.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=wish),
                inside.call("DeleteEndpoint", EndpointName="e"),
            ]
            for call in calls:
                with pytest.raises(Exception, match="cannot write its state") as caught:
                    await call
                assert caught.value.status == 507
            assert (await inside.invoke("e"))["name"] == "e-a"
            limit(inside.service._store, "PRAGMA query_only=OFF")
            described = await inside.call("DescribeEndpoint", EndpointName="e")
            assert described["EndpointStatus"] == "InService"
            assert [v["DesiredWeight"] for v in described["ProductionVariants"]] == [1, 0]
            assert (await inside.call("ListModelPackageGroups"))["ModelPackageGroupSummaryList"] == []

    run(scenario())


@pytest.mark.e2e
def test_a_change_in_the_background_waits_until_the_disk_takes_it(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.model("m", start="slow", seconds=0.5)
            await inside.config("c", variant("v", "m"))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            limit(inside.service._store, "PRAGMA query_only=ON")
            await asyncio.sleep(2)
            assert (await inside.call("DescribeEndpoint", EndpointName="e"))["EndpointStatus"] == "Creating"
            limit(inside.service._store, "PRAGMA query_only=OFF")
            assert (await inside.settled("e"))["EndpointStatus"] == "InService"

    run(scenario())
