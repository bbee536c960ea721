"""Debug lines do not hold a program up, and none is lost."""

from __future__ import annotations

import threading
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2

from localcloud.language.engine import Engine

from .conftest import Project

DEBUG, INFO = engine_pb2.DEBUG, engine_pb2.INFO


class Stub:
    """An engine that takes lines only while `open` is set, and keeps them."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.lines: list[tuple[Any, str, str]] = []

    def Log(self, request: engine_pb2.LogRequest) -> empty_pb2.Empty:
        assert self.open.wait(30)
        self.lines.append((request.severity, request.urn, request.message))
        return empty_pb2.Empty()

    def GetRootResource(self, request: object) -> str:
        return f"root for {request}"


def line(severity: Any, message: str, urn: str = "") -> engine_pb2.LogRequest:
    return engine_pb2.LogRequest(severity=severity, message=message, urn=urn)


def test_a_debug_line_does_not_wait_for_the_engine() -> None:
    stub = Stub()
    stub.open.clear()
    engine = Engine(stub)
    for number in range(100):
        engine.Log(line(DEBUG, str(number)))
    assert stub.lines == []
    stub.open.set()
    engine.flush()
    assert "\n".join(message for _, _, message in stub.lines) == "\n".join(map(str, range(100)))


def test_any_other_line_has_arrived_when_log_returns_and_after_the_debug_lines_before_it() -> None:
    stub = Stub()
    engine = Engine(stub)
    engine.Log(line(DEBUG, "first"))
    engine.Log(line(DEBUG, "second"))
    engine.Log(line(INFO, "third"))
    assert "\n".join(message for _, _, message in stub.lines) == "first\nsecond\nthird"
    assert stub.lines[-1] == (INFO, "", "third")


def test_debug_lines_go_out_when_nothing_follows_them() -> None:
    stub, arrived = Stub(), threading.Event()
    engine = Engine(stub)
    log = stub.Log
    stub.Log = lambda request: (log(request), arrived.set())[0]
    engine.Log(line(DEBUG, "the last one"))
    assert arrived.wait(30)
    assert stub.lines == [(DEBUG, "", "the last one")]


def test_debug_lines_keep_the_resource_that_they_belong_to() -> None:
    stub = Stub()
    engine = Engine(stub)
    for message, urn in (("a", "urn:1"), ("b", "urn:1"), ("c", "urn:2"), ("d", "urn:1")):
        engine.Log(line(DEBUG, message, urn))
    engine.flush()
    by_place = [(urn, part) for _, urn, message in stub.lines for part in message.split("\n")]
    assert by_place == [("urn:1", "a"), ("urn:1", "b"), ("urn:2", "c"), ("urn:1", "d")]


def test_an_engine_that_has_gone_is_an_error_for_other_lines_only() -> None:
    class Gone(Stub):
        def Log(self, request: engine_pb2.LogRequest) -> empty_pb2.Empty:
            raise grpc.RpcError

    engine = Engine(Gone())
    engine.Log(line(DEBUG, "nobody hears this"))
    engine.flush()
    with pytest.raises(grpc.RpcError):
        engine.Log(line(INFO, "nor this"))


def test_all_else_goes_to_the_stub() -> None:
    assert Engine(Stub()).GetRootResource("me") == "root for me"


@pytest.mark.e2e
def test_debug_lines_of_a_program_are_shown_on_request(project: Project) -> None:
    lines = "\n".join(f"pulumi.log.debug('debug line {number}')" for number in range(3))
    project.write(main=f"import pulumi\n{lines}\npulumi.log.info('an info')\npulumi.log.debug('the very last')\n")
    shown = project.must("preview", "--debug")
    assert all(f"debug line {number}" in shown for number in range(3))
    assert "an info" in shown
    assert "the very last" in shown
    assert "debug line" not in project.must("preview")
