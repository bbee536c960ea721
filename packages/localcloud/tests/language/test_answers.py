"""What the host tells the engine, asked over gRPC."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import language_pb2

from localcloud.language import VERSION

from .conftest import ROOT

pytestmark = pytest.mark.e2e


def info(**options: Any) -> language_pb2.ProgramInfo:
    """A project in the checkout with runtime options."""
    return language_pb2.ProgramInfo(
        root_directory=str(ROOT),
        program_directory=str(ROOT),
        entry_point=".",
        options=json_format.ParseDict(options, struct_pb2.Struct()),
    )


def test_the_aws_plugin_is_asked_for_in_the_version_of_the_installed_sdk(start_host: Callable[..., Any]) -> None:
    with start_host() as host:
        asked = language_pb2.GetRequiredPackagesRequest(info=info(virtualenv=".venv"))
        packages = {package.name: package for package in host.stub.GetRequiredPackages(asked).packages}

    assert packages["aws"].kind == "resource"
    assert packages["aws"].version == importlib.metadata.version("pulumi-aws")
    assert "pulumi" not in packages


def test_dependencies_are_those_that_nothing_else_requires_unless_all_are_asked_for(
    start_host: Callable[..., Any],
) -> None:
    with start_host() as host:

        def names(transitive: bool) -> set[str]:
            asked = language_pb2.GetProgramDependenciesRequest(info=info(), transitiveDependencies=transitive)
            return {dependency.name for dependency in host.stub.GetProgramDependencies(asked).dependencies}

        assert "botocore" in names(True)
        assert "botocore" not in names(False)
        assert "pulumi_aws" in {name.replace("-", "_") for name in names(False)}


def test_the_host_introduces_itself(start_host: Callable[..., Any]) -> None:
    with start_host() as host:
        host.stub.Handshake(language_pb2.LanguageHandshakeRequest(engine_address="127.0.0.1:1"))
        assert host.stub.GetPluginInfo(empty_pb2.Empty()).version == VERSION
        assert not host.stub.RuntimeOptionsPrompts(language_pb2.RuntimeOptionsRequest(info=info())).prompts


def test_a_toolchain_that_is_not_known_is_refused_by_name(start_host: Callable[..., Any]) -> None:
    with start_host() as host, pytest.raises(grpc.RpcError) as refused:
        host.stub.About(language_pb2.AboutRequest(info=info(toolchain="poetry")))

    assert "'poetry'" in refused.value.details()
    assert "'pip' and 'uv'" in refused.value.details()


def test_what_was_imported_is_shown_and_other_code_generation_said_to_need_the_official_cli(
    start_host: Callable[..., Any],
) -> None:
    with start_host() as host, pytest.raises(grpc.RpcError) as refused:
        imported = host.stub.GenerateProgram(language_pb2.GenerateProgramRequest(source={"main.pp": "a = 1\nb = 2\n"}))
        (program,) = imported.source.values()
        assert program.decode().endswith("# a = 1\n# b = 2\n")
        assert all(line.startswith("#") for line in program.decode().splitlines())
        host.stub.GenerateProject(language_pb2.GenerateProjectRequest())

    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "official Pulumi CLI" in refused.value.details()


def test_a_python_plugin_runs_with_its_output_and_exit_code_told(
    start_host: Callable[..., Any], tmp_path: Path
) -> None:
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    (plugin / "__main__.py").write_text(
        "import os, sys\nprint(sys.argv[1], os.environ['GREETING'])\nprint('to stderr', file=sys.stderr)\nsys.exit(7)\n"
    )
    about = info(virtualenv=str(ROOT / ".venv"))
    about.program_directory = str(plugin)
    with start_host() as host:
        asked = language_pb2.RunPluginRequest(
            pwd=str(tmp_path), args=["first"], env=["GREETING=hello", "PATH=/usr/bin"], info=about, kind="resource"
        )
        said = list(host.stub.RunPlugin(asked))

    assert b"".join(part.stdout for part in said) == b"first hello\n"
    assert b"".join(part.stderr for part in said) == b"to stderr\n"
    assert said[-1].exitcode == 7


def test_a_plugin_ends_when_the_engine_lets_go_of_it(start_host: Callable[..., Any], tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    ended = tmp_path / "ended"
    (plugin / "__main__.py").write_text(
        "import pathlib, time\ntry:\n    print('up', flush=True)\n    time.sleep(60)\n"
        f"except KeyboardInterrupt:\n    pathlib.Path({str(ended)!r}).touch()\n"
    )
    about = info(virtualenv=str(ROOT / ".venv"))
    about.program_directory = str(plugin)
    with start_host() as host:
        call = host.stub.RunPlugin(language_pb2.RunPluginRequest(pwd=str(tmp_path), info=about, kind="resource"))
        assert next(call).stdout.startswith(b"up")
        call.cancel()
        for _ in range(600):
            if ended.exists():
                break
            time.sleep(0.05)

    assert ended.exists()


def test_installing_makes_the_environment_that_the_options_name(start_host: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    about = info(virtualenv="made")
    about.root_directory = str(tmp_path)
    with start_host() as host:
        said = b"".join(
            part.stdout for part in host.stub.InstallDependencies(language_pb2.InstallDependenciesRequest(info=about))
        )

    assert (tmp_path / "made" / "bin" / "python").exists()
    assert b"pip install -r requirements.txt" in said
