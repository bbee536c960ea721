"""The gRPC face: Pulumi's provider protocol over `Lifecycle`.

Written on the protocol's own stubs and not on `pulumi.provider.experimental`: that layer cannot report a resource that
was created but failed to initialise, cannot read an asset of which only the hash is sent (as in every diff), withholds
the old inputs, appends a traceback to each error, and takes 0.4 s to import.
"""

from __future__ import annotations

import gc
import json
import os
import time
from concurrent import futures
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, empty_pb2

from localcloud.awsplugin.check import Naming
from localcloud.awsplugin.cloud import Settings
from localcloud.awsplugin.diff import Difference
from localcloud.awsplugin.failures import Failure, InvalidError, PartialError, UnavailableError
from localcloud.awsplugin.lifecycle import Lifecycle, served
from localcloud.awsplugin.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2
from localcloud.awsplugin.schema import schema
from localcloud.awsplugin.unfinished import Unfinished
from localcloud.awsplugin.wire import decode_map, encode_map, has_unknown
from localcloud.language import lifeline

_THREADS = 64
_MESSAGE_LIMIT = 400 * 1024 * 1024  # as the engine's own
_OBJECTS = 500_000  # so many new ones before garbage is looked for: most are what was imported, and stay
_NAMING = {0: "propose", 1: "enforce", 2: "disable"}


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Serves one engine."""

    def __init__(self) -> None:
        self._lifecycle: Lifecycle | None = None
        self.unfinished = Unfinished.of()

    @property
    def lifecycle(self) -> Lifecycle:
        """The configured engine.

        Raises:
            InvalidError: `Configure` has not been called.
        """
        if self._lifecycle is None:
            raise InvalidError("the provider is not configured")
        return self._lifecycle

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """The version that the engine takes the plugin for."""
        return plugin_pb2.PluginInfo(version=schema().sdk)

    def Handshake(self, request: Any, context: Any) -> Any:
        """What this plugin can do: plain values only, and names as the project's settings wish."""
        return provider_pb2.ProviderHandshakeResponse(supports_autonaming_configuration=True)

    def CheckConfig(self, request: Any, context: Any) -> Any:
        """Refuse a provider configuration before anything runs."""
        news = decode_map(request.news)
        if has_unknown(news):
            return provider_pb2.CheckResponse(inputs=request.news)
        try:
            Settings.read(news)
        except InvalidError as error:
            failure = provider_pb2.CheckFailure(property="", reason=str(error))
            return provider_pb2.CheckResponse(failures=[failure])
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """A provider's configuration never needs new resources: its state is in the resources."""
        changed = decode_map(request.old_inputs or request.olds) != decode_map(request.news)
        some = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=some)

    def Configure(self, request: Any, context: Any) -> Any:
        """Take the provider's configuration."""
        with _told(context):
            args = decode_map(request.args) or {k.rpartition(":")[2]: v for k, v in dict(request.variables).items()}
            self._lifecycle = Lifecycle(Settings.read(args), self.unfinished)
        return provider_pb2.ConfigureResponse(supportsPreview=True, supports_autonaming_configuration=True)

    def Check(self, request: Any, context: Any) -> Any:
        """Check one resource's inputs; see `check`."""
        token, name = _type_and_name(request.urn)
        with _told(context):
            naming = None
            if request.HasField("autonaming"):
                naming = Naming(_NAMING[request.autonaming.mode], request.autonaming.proposed_name)
            old, new = decode_map(request.olds), decode_map(request.news)
            done = self.lifecycle.check(token, name, old, new, seed=request.randomSeed, naming=naming)
            failures = [provider_pb2.CheckFailure(property=p, reason=r) for p, r in done.failures]
            return provider_pb2.CheckResponse(inputs=encode_map(done.inputs), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        """What an update would change; see `diff`."""
        token, _ = _type_and_name(request.urn)
        with _told(context):
            new = decode_map(request.news)
            found, first = self.lifecycle.diff(token, decode_map(request.olds), new, list(request.ignoreChanges))
            response = provider_pb2.DiffResponse
            return response(
                changes=response.DIFF_SOME if found else response.DIFF_NONE,
                diffs=sorted({d.prop for d in found}),
                replaces=sorted({d.prop for d in found if d.replace}),
                stables=list(served(token).names),
                deleteBeforeReplace=first,
                hasDetailedDiff=True,
                detailedDiff={
                    d.path: provider_pb2.PropertyDiff(kind=provider_pb2.PropertyDiff.Kind.Value(_kind(d)))
                    for d in found
                },
            )

    def Create(self, request: Any, context: Any) -> Any:
        """Make a resource, or foresee its outputs in a preview."""
        token, _ = _type_and_name(request.urn)
        with _told(context):
            inputs = decode_map(request.properties)
            made = self.lifecycle.create(token, request.urn, inputs, request.timeout, preview=request.preview)
            return provider_pb2.CreateResponse(id=made.ident, properties=encode_map(made.state))

    def Read(self, request: Any, context: Any) -> Any:
        """Refresh a resource, or import it by its id; an empty answer says that it is gone."""
        token, _ = _type_and_name(request.urn)
        with _told(context):
            state, inputs = decode_map(request.properties), decode_map(request.inputs)
            found = self.lifecycle.read(token, request.id, state, inputs)
            if found is None:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(
                id=found.ident, properties=encode_map(found.state), inputs=encode_map(found.inputs)
            )

    def Update(self, request: Any, context: Any) -> Any:
        """Change a resource in place, or foresee its outputs in a preview."""
        token, _ = _type_and_name(request.urn)
        with _told(context):
            state = self.lifecycle.update(
                token,
                request.id,
                decode_map(request.olds),
                decode_map(request.news),
                ignore=list(request.ignoreChanges),
                timeout=request.timeout,
                preview=request.preview,
            )
            return provider_pb2.UpdateResponse(properties=encode_map(state))

    def Delete(self, request: Any, context: Any) -> Any:
        """Remove a resource."""
        token, _ = _type_and_name(request.urn)
        with _told(context):
            state = {**decode_map(request.old_inputs), **decode_map(request.properties)}
            self.lifecycle.delete(token, request.id, state, request.timeout)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        """Answer a function of the package."""
        from localcloud.awsplugin import invokes  # noqa: PLC0415  (most runs need none)

        with _told(context):
            done = invokes.invoke(request.tok, decode_map(request.args), self.lifecycle.cloud)
            failures = [provider_pb2.CheckFailure(property=p, reason=r) for p, r in done.failures]
            answer: dict[str, Any] = {
                "return": encode_map(done.result),
                "failures": failures,
            }  # `return` is no name here
            return provider_pb2.InvokeResponse(**answer)

    def GetSchema(self, request: Any, context: Any) -> Any:
        """Tell the types of what is served: `pulumi import` asks for them after it has changed the state."""
        from localcloud.awsplugin import package_schema  # noqa: PLC0415  (most runs need none)

        return provider_pb2.GetSchemaResponse(schema=json.dumps(package_schema.package(schema())))

    def Attach(self, request: Any, context: Any) -> Any:
        """Accept an engine that found a running plugin by PULUMI_DEBUG_PROVIDERS."""
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        """End every wait; calls under way return with a failure that keeps their state."""
        if self._lifecycle is not None:
            self._lifecycle.cloud.cancelled.set()
        return empty_pb2.Empty()


class _told:
    """Turns failures into gRPC statuses whose text is for the user.

    The engine takes codes other than UNKNOWN and INTERNAL as "nothing was done", and keeps no pending operation.
    """

    def __init__(self, context: Any) -> None:
        self.context = context

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, PartialError):
            self._abort_partial(error)
        elif isinstance(error, InvalidError):
            self.context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        elif isinstance(error, UnavailableError):
            self.context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        elif isinstance(error, Failure):
            self.context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))

    def _abort_partial(self, error: PartialError) -> None:
        detail = provider_pb2.ErrorResourceInitFailed(
            id=error.ident, properties=encode_map(error.state), reasons=[str(error)]
        )
        packed = any_pb2.Any()
        packed.Pack(detail)
        code = grpc.StatusCode.FAILED_PRECONDITION
        status = status_pb2.Status(code=code.value[0], message=str(error), details=[packed])
        self.context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        self.context.abort(code, str(error))


def _kind(difference: Difference) -> str:
    return difference.kind.upper() + ("_REPLACE" if difference.replace else "")


def _type_and_name(urn: str) -> tuple[str, str]:
    """The resource's own type token and name: `urn:pulumi:stack::project::parent$type::name`."""
    parts = urn.split("::", 3)
    return parts[2].rpartition("$")[2], parts[3]


def serve(provider: Provider | None = None) -> tuple[Any, int]:
    """Start serving on a free loopback port; returns the gRPC server and the port."""
    options = [("grpc.max_receive_message_length", _MESSAGE_LIMIT), ("grpc.max_send_message_length", _MESSAGE_LIMIT)]
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="call"), options=options)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider or Provider(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def main() -> NoReturn:
    """Serve until the engine goes away. The engine reads the port from the first line of standard output."""
    gc.set_threshold(_OBJECTS)
    parent = os.getppid()
    provider = Provider()
    # The engine ends a plugin by SIGINT and waits five seconds for it. A person's Ctrl-C does not come here: the
    # plugin is in a process group of its own, and the engine turns it into Cancel.
    try:
        lifeline.listen()
        _server, port = serve(provider)
        os.write(1, f"{port}\n".encode())
        while os.getppid() == parent:  # or else it was killed, and may not have saved what was made
            time.sleep(1.0)
    except KeyboardInterrupt:
        lifeline.leave(0, provider.unfinished.close)
    lifeline.leave(0)
