"""The messages of Pulumi's provider protocol, without the rest of the SDK."""

from typing import TYPE_CHECKING

from localcloud.language.protocol import load

if TYPE_CHECKING:
    from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2
else:
    provider_pb2 = load("provider_pb2")
    provider_pb2_grpc = load("provider_pb2_grpc")
    plugin_pb2 = load("plugin_pb2")
    status_pb2 = load("status_pb2")

__all__ = ["plugin_pb2", "provider_pb2", "provider_pb2_grpc", "status_pb2"]
