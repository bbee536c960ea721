"""What every platform's store of bytes by name promises."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from modelstack.platforms.aws.blobs import S3Blobs
from modelstack.rollout.core.errors import Busy, Conflict, Unreachable
from modelstack.services.ports import Blobs
from tests.platform_contract.conftest import race
from tests.platforms.aws.either import EITHER, clients_of
from tests.services.memory import MemoryBlobs


@pytest.fixture(params=["memory", "toy", *EITHER])
def opened(request: pytest.FixtureRequest) -> Callable[[], Blobs]:
    """Opens the same empty store of blobs, as each process does."""
    if request.param == "memory":
        return partial(lambda one: one, MemoryBlobs())
    if request.param == "toy":
        made, file = request.getfixturevalue("toy"), request.getfixturevalue("tmp_path") / "stack.sqlite"
        return lambda: made.ToyBlobs(made.File(file))
    clients, name = clients_of(request), f"blobs-{uuid.uuid4().hex[:8]}"
    clients("s3").create_bucket(Bucket=name)
    return partial(S3Blobs, clients, name)


@pytest.fixture
def blobs(opened: Callable[[], Blobs]) -> Blobs:
    return opened()


def test_what_was_written_is_read_and_never_replaced(blobs: Blobs) -> None:
    content = b"\x00\xff" * (1 << 20)
    for _ in range(2):
        blobs.put_new("a/b", content)
    with pytest.raises(Conflict, match="other bytes are stored under this name"):
        blobs.put_new("a/b", b"")
    assert b"".join(blobs.get("a/b")) == content
    assert len(list(blobs.get("a/b"))) <= 3, "a line of many megabytes is put together again with each chunk"
    with pytest.raises(FileNotFoundError, match="a/c"):
        blobs.get("a/c")


@pytest.mark.parametrize("opened", ["memory", "toy", EITHER[1]], indirect=True)
def test_of_many_that_put_a_name_at_once_one_is_stored(opened: Callable[[], Blobs]) -> None:
    # moto is left out: the threads of its server share a bucket without a lock.
    def writer(number: int) -> Callable[[int], bool]:
        mine = opened()

        def put(turn: int) -> bool:
            try:
                mine.put_new(f"{turn}", b"%d" % number)
            except (Busy, Conflict):
                return False
            return True

        return put

    won = race(10, *map(writer, range(3)))
    stored = [b"".join(opened().get(f"{turn}")) for turn in range(10)]
    assert [[turn for turn, one in enumerate(stored) if one == b"%d" % number] for number in range(3)] == won


def test_names_are_listed_in_order_from_one_on(blobs: Blobs) -> None:
    for name in ("a/3", "a-b/1", "a/1", "a/2", "a/1/x", "b"):
        blobs.put_new(name, name.encode())
    assert blobs.list("a/") == ["a/1", "a/1/x", "a/2", "a/3"]
    assert blobs.list("a/", "a/1", 2) == ["a/1/x", "a/2"]
    assert blobs.list("a/", "a/10") == ["a/2", "a/3"]
    assert blobs.list("c") == []


def test_a_writer_that_meets_another_one_in_s3_tries_again_later() -> None:
    s3 = Mock()
    s3.put_object.side_effect = ClientError({"Error": {"Code": "ConditionalRequestConflict"}}, "PutObject")
    with pytest.raises(Busy, match="another writer puts it just now"):
        S3Blobs(lambda _: s3, "bucket").put_new("a", b"")


def test_an_object_whose_bytes_stop_coming_is_unreachable() -> None:
    class Body:
        def iter_chunks(self, size: int) -> Iterator[bytes]:
            yield b"a"
            raise ReadTimeoutError(endpoint_url="http://s3")

    s3 = SimpleNamespace(get_object=lambda **_: {"Body": Body()})
    chunks = iter(S3Blobs(lambda _: s3, "bucket").get("a"))
    assert next(chunks) == b"a"
    with pytest.raises(Unreachable):
        next(chunks)
