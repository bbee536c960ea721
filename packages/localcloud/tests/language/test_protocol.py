"""The engine's messages come without the SDK, and are the SDK's own."""

from __future__ import annotations

import subprocess
import sys

import pytest


def printed(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("module", ["language.host", "awsplugin.server"])
def test_a_process_answers_the_engine_without_the_sdk_or_a_list_of_what_is_installed(module: str) -> None:
    slow = {"pulumi", "pulumi.dynamic", "importlib.metadata", "botocore"}
    loaded = printed(f"import sys, localcloud.{module}; print(*sys.modules)").split()
    assert f"localcloud.{module}" in loaded
    assert not slow & set(loaded)


@pytest.mark.parametrize("first", ["localcloud.language.protocol", "pulumi.runtime.proto.language_pb2"])
def test_message_types_are_those_of_the_sdk_whichever_is_loaded_first(first: str) -> None:
    code = (
        f"import {first}; from localcloud.language import protocol; from pulumi.runtime.proto import language_pb2\n"
        "print(protocol.language_pb2.RunRequest is language_pb2.RunRequest)"
    )
    assert printed(code).strip() == "True"
