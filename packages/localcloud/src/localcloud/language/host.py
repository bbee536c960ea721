"""What does the engine ask of a language? `pulumirpc.LanguageRuntime`, as the official Python host answers it.

A program runs in the main thread of this process, once, when this process is in the project's environment; any other
run gets a process of its own.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf import empty_pb2, json_format

from . import SHOWN, VERSION, environment, installer, lifeline, light, plugin
from .protocol import language_pb2, language_pb2_grpc, plugin_pb2

_MESSAGE_LIMIT = 400 * 1024 * 1024  # as the engine's own
_UNREQUESTED_S = 30 * 60  # a busy program may leave a call waiting for longer than gRPC's 30 seconds
_Info = language_pb2.ProgramInfo
_Answer = TypeVar("_Answer")


class MainThread:
    """Runs one job in the thread that signals interrupt, where programs expect to run."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._taken = threading.Lock()
        self.busy = False

    def claim(self) -> bool:
        """Say whether the caller may use it: only the first one, since a program leaves its modules behind."""
        return self._taken.acquire(blocking=False)

    def call(self, job: Callable[[], Any]) -> Any:
        """Run the job there and wait for its result."""
        done: Future[Any] = Future()
        self._jobs.put((job, done))
        return done.result()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in a running job, also where it waits."""
        if self.busy:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def work(self) -> NoReturn:
        """Serve jobs until the process is interrupted."""
        while True:
            job, done = self._jobs.get()
            self.busy = True
            try:
                result = job()
            except KeyboardInterrupt:
                done.set_result(language_pb2.RunResponse(bail=True))
                raise
            except BaseException as error:
                done.set_exception(error)
            else:
                done.set_result(result)
            finally:
                self.busy = False


_BY_HAND = """\
# The official Pulumi CLI writes Python here. This language host does not: declare what follows by hand, with the same
# name and these inputs. It stands in Pulumi's own language, PCL.
"""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine."""

    def __init__(self, engine: str, main: MainThread) -> None:
        self._engine = engine
        self._main = main
        self._children: set[subprocess.Popen[bytes]] = set()

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> language_pb2.LanguageHandshakeResponse:
        """Meet the engine; its address came on the command line too."""
        self._engine = request.engine_address or self._engine
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Tell this host's version."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        """Name the plugin that each SDK in the project's environment needs."""
        described = _asked(environment.described, request.info, context)
        return language_pb2.GetRequiredPackagesResponse(packages=map(_package, described.plugins))

    def GetRequiredPlugins(
        self, request: language_pb2.GetRequiredPluginsRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPluginsResponse:
        """Answer engines from before packages."""
        described = _asked(environment.described, request.info, context)
        return language_pb2.GetRequiredPluginsResponse(
            plugins=[
                plugin_pb2.PluginDependency(
                    name=p["name"], kind="resource", version=p.get("version", ""), server=p.get("server", "")
                )
                for p in described.plugins
            ]
        )

    def GetProgramDependencies(
        self, request: language_pb2.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        """List the environment's distributions: those that nothing else requires, or all."""
        installed = _asked(environment.distributions, request.info, context)
        names = installed.versions if request.transitiveDependencies else installed.top
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=name, version=installed.versions[name]) for name in sorted(names)
            ]
        )

    def About(self, request: language_pb2.AboutRequest, context: grpc.ServicerContext) -> language_pb2.AboutResponse:
        """Tell which Python runs the program."""
        described = _asked(environment.described, request.info, context)
        return language_pb2.AboutResponse(executable=described.executable, version=described.version)

    def RuntimeOptionsPrompts(self, request: Any, context: grpc.ServicerContext) -> language_pb2.RuntimeOptionsResponse:
        """Ask nothing: what this host reads has defaults."""
        return language_pb2.RuntimeOptionsResponse()

    def Template(self, request: Any, context: grpc.ServicerContext) -> language_pb2.TemplateResponse:
        """Leave a new project's files as they are."""
        return language_pb2.TemplateResponse()

    def Run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> language_pb2.RunResponse:
        """Run the program."""
        python = _python(request.info, context)
        if environment.is_here(python) and self._main.claim():
            return self._main.call(lambda: _run_here(request, self._engine))
        return self._run_elsewhere(str(python or sys.executable), request)

    def _run_elsewhere(self, python: str, request: language_pb2.RunRequest) -> language_pb2.RunResponse:
        child = subprocess.Popen([python, "-u", environment.HOST, "run", self._engine], stdin=subprocess.PIPE)
        self._children.add(child)
        try:
            child.communicate(request.SerializeToString())
        finally:
            self._children.discard(child)
        if child.returncode in (0, SHOWN):
            return language_pb2.RunResponse(bail=child.returncode == SHOWN)
        if child.returncode < 0:
            return language_pb2.RunResponse(error=f"Program was ended by signal {-child.returncode}")
        return language_pb2.RunResponse(error=f"Program exited with non-zero exit code: {child.returncode}")

    def RunPlugin(
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        """Run a provider or a policy pack that is written in Python."""
        yield from plugin.run(str(_python(request.info, context) or sys.executable), request, context)

    def InstallDependencies(
        self, request: language_pb2.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Make the virtual environment and install the project's packages into it."""
        try:
            yield from installer.install(request.info.root_directory or request.directory, _options(request.info))
        except (environment.NoEnvironment, installer.InstallFailed) as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Interrupt running programs."""
        self._main.interrupt()
        for child in list(self._children):
            child.send_signal(signal.SIGINT)
        return empty_pb2.Empty()

    def GenerateProject(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        """Refuse: code generation is part of the official CLI only."""
        _official_only(context)

    GeneratePackage = Pack = Link = GenerateProject

    def GenerateProgram(
        self, request: language_pb2.GenerateProgramRequest, context: grpc.ServicerContext
    ) -> language_pb2.GenerateProgramResponse:
        """Show what `pulumi import` has taken into the state. It asks when that is done: a refusal comes too late."""
        shown = "\n".join(f"# {line}".rstrip() for text in request.source.values() for line in text.splitlines())
        return language_pb2.GenerateProgramResponse(source={"__main__.py": f"{_BY_HAND}{shown}\n".encode()})


def serve(engine: str) -> NoReturn:
    """Serve until the engine ends this process."""
    main = MainThread()
    options = [
        ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
        ("grpc.server_max_unrequested_time_in_server", _UNREQUESTED_S),
    ]
    server = grpc.server(ThreadPoolExecutor(max_workers=16), options=options)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(engine, main), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    os.write(1, f"{port}\n".encode())
    try:
        main.work()
    except KeyboardInterrupt:
        lifeline.leave(0, lambda: server.stop(1).wait(1))  # lets the answer of an interrupted run go out


def _run_here(request: language_pb2.RunRequest, engine: str) -> language_pb2.RunResponse:
    light.install()
    from . import program  # noqa: PLC0415  loads the SDK, which no other answer needs

    return program.run(request, engine)


def _options(info: _Info) -> Mapping[str, Any]:
    return json_format.MessageToDict(info.options)


def _python(info: _Info, context: grpc.ServicerContext) -> Any:
    try:
        return environment.python_of(info.root_directory, _options(info))
    except environment.NoEnvironment as error:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))


def _asked(question: Callable[[Path | None], _Answer], info: _Info, context: grpc.ServicerContext) -> _Answer:
    try:
        return question(environment.python_of(info.root_directory, _options(info)))
    except environment.NoEnvironment as error:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))


def _package(plugin_json: Mapping[str, Any]) -> plugin_pb2.PackageDependency:
    dependency = plugin_pb2.PackageDependency(
        name=plugin_json["name"],
        kind="resource",
        version=plugin_json.get("version", ""),
        server=plugin_json.get("server", ""),
    )
    parameterization = plugin_json.get("parameterization")
    if parameterization:
        dependency.parameterization.name = parameterization["name"]
        dependency.parameterization.version = parameterization["version"]
        dependency.parameterization.value = environment.parameter(parameterization["value"])
    return dependency


def _official_only(context: grpc.ServicerContext) -> NoReturn:
    context.abort(
        grpc.StatusCode.UNIMPLEMENTED,
        "this language host runs programs only; code generation and packing need the official Pulumi CLI",
    )
