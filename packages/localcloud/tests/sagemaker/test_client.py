"""HTTP to a container, when the container misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from localcloud.sagemaker.client import NoAnswer, TooLarge, Upstream

from .conftest import run

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Seen: yes\r\n\r\nok"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(answer: Answer) -> Any:
    connections = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        try:
            await answer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    upstream = Upstream(server.sockets[0].getsockname()[1])
    try:
        yield upstream, connections
    finally:
        upstream.close()
        server.close()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


async def post(upstream: Upstream, body: bytes = b"{}", timeout: float = 2, most: int = 100) -> Any:
    return await upstream.request("POST", "/invocations", [], body, timeout=timeout, most=most)


def test_one_connection_serves_many_requests():
    async def answer(reader, writer):
        while True:
            assert await read_request(reader) == b"{}"
            writer.write(OK)

    async def scenario():
        async with served(answer) as (upstream, connections):
            for _ in range(20):
                reply = await post(upstream)
                assert (reply.status, reply.headers["x-seen"], reply.body) == (200, "yes", b"ok")
            assert len(connections) == 1

    run(scenario())


def test_requests_at_once_have_connections_of_their_own():
    async def answer(reader, writer):
        while True:
            await read_request(reader)
            await asyncio.sleep(0.2)
            writer.write(OK)

    async def scenario():
        async with served(answer) as (upstream, connections):
            await asyncio.gather(*(post(upstream) for _ in range(5)))
            await asyncio.gather(*(post(upstream) for _ in range(5)))
            assert len(connections) == 5

    run(scenario())


def test_a_connection_that_the_container_closed_meanwhile_loses_no_request():
    async def answer(reader, writer):
        await read_request(reader)
        writer.write(OK)
        await writer.drain()

    async def scenario():
        async with served(answer) as (upstream, connections):
            for pause in (0, 0, 0.05, 0):
                assert (await post(upstream)).status == 200
                await asyncio.sleep(pause)
            assert len(connections) == 4

    run(scenario())


def test_a_connection_that_closes_just_as_it_is_used_again_loses_no_request():
    async def answer(reader, writer):
        await read_request(reader)
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")  # and go, without a word

    async def scenario():
        async with served(answer) as (upstream, connections):
            for _ in range(5):
                assert (await post(upstream)).status == 200
            assert len(connections) == 5

    run(scenario())


@pytest.mark.parametrize(
    "spoken", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nCon"]
)
def test_an_answer_that_is_none_is_told(spoken):
    async def answer(reader, writer):
        await read_request(reader)
        writer.write(spoken)
        await writer.drain()

    async def scenario():
        async with served(answer) as (upstream, connections):
            with pytest.raises(NoAnswer):
                await post(upstream)
            assert len(connections) == 1

    run(scenario())


def test_a_port_without_a_listener_is_told():
    async def answer(reader, writer):
        return

    async def scenario():
        async with served(answer) as (upstream, _):
            pass
        with pytest.raises(NoAnswer):
            await post(upstream)

    run(scenario())


def test_a_late_answer_is_not_taken_for_the_next_request():
    async def answer(reader, writer):
        while True:
            body = await read_request(reader)
            await asyncio.sleep(0.3 if body == b"slow" else 0)
            writer.write(OK.replace(b"ok", body[:2]))

    async def scenario():
        async with served(answer) as (upstream, _):
            with pytest.raises(TimeoutError):
                await post(upstream, b"slow", timeout=0.1)
            assert (await post(upstream, b"fast")).body == b"fa"
            await asyncio.sleep(0.4)
            assert (await post(upstream, b"next")).body == b"ne"

    run(scenario())


def test_an_answer_larger_than_is_taken_is_told_and_chunks_are_joined():
    async def answer(reader, writer):
        while True:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")

    async def scenario():
        async with served(answer) as (upstream, _):
            assert (await post(upstream, most=6)).body == b"abcdef"
            with pytest.raises(TooLarge):
                await post(upstream, most=5)

    run(scenario())


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"]
)
def test_an_interim_answer_is_not_the_answer(interim):
    async def answer(reader, writer):
        for number in range(3):
            await read_request(reader)
            writer.write(interim)
            if number == 2:
                return  # and no answer comes
            await asyncio.sleep(0.01)
            writer.write(OK)

    async def scenario():
        async with served(answer) as (upstream, connections):
            assert [(await post(upstream)).body for _ in range(2)] == [b"ok", b"ok"]
            with pytest.raises(NoAnswer):
                await post(upstream)
            assert len(connections) == 1

    run(scenario())


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\nX-Seen: yes\r\n\r\n"])
def test_an_answer_of_no_length_ends_with_the_connection(head):
    async def answer(reader, writer):
        await read_request(reader)
        writer.write(head + b"to the")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b" end")

    async def scenario():
        async with served(answer) as (upstream, connections):
            for _ in range(2):
                assert (await post(upstream)).body == b"to the end"
            assert len(connections) == 2

    run(scenario())


@pytest.mark.parametrize("pause", [0, 0.05])
def test_what_nobody_asked_for_is_no_answer_to_the_next_request(pause):
    async def answer(reader, writer):
        while True:
            body = await read_request(reader)
            writer.write(OK.replace(b"ok", body[:2]))
            await asyncio.sleep(pause)
            writer.write(OK.replace(b"ok", b"no"))

    async def scenario():
        async with served(answer) as (upstream, _):
            for body in (b"a1", b"a2", b"a3"):
                assert (await post(upstream, body)).body == body
                await asyncio.sleep(0.1)

    run(scenario())


def test_a_connection_that_the_container_will_close_is_not_used_again():
    async def answer(reader, writer):
        while True:
            await read_request(reader)
            writer.write(OK.replace(b"\r\nX-Seen", b"\r\nConnection: close\r\nX-Seen"))

    async def scenario():
        async with served(answer) as (upstream, connections):
            for _ in range(3):
                assert (await post(upstream)).status == 200
            assert len(connections) == 3

    run(scenario())


def test_an_answer_that_comes_before_the_request_was_read_is_taken_and_the_rest_is_not_sent_to_the_next():
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(1)

    async def scenario():
        async with served(answer) as (upstream, connections):
            for _ in range(2):
                assert (await post(upstream, b"x" * 30_000_000)).body == b"ok"
            assert len(connections) == 2

    run(scenario())
