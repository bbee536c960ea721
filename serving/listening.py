"""The listening socket, its limit on connections, and whether a client waits."""

from __future__ import annotations

import resource
import select
import socket

from serving.memory import MOST_CONNECTIONS
from serving.settings import RuntimeSettings

_RESERVED = 64  # descriptors of a process in addition to its connections


def most_connections() -> int:
    """The connections that the limit on descriptors allows, after raising it as far as possible."""
    wanted = MOST_CONNECTIONS + _RESERVED
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < wanted:
        allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return max(1, min(wanted, allowed) - _RESERVED)


def listener(settings: RuntimeSettings) -> socket.socket:
    """A bound socket that does not listen yet: connections are refused until the model is ready."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((settings.host, settings.port))
    made.setblocking(False)
    return made


def is_called(port: socket.socket) -> bool:
    """Whether a client waits to be accepted."""
    waiting = select.poll()
    waiting.register(port, select.POLLIN)
    return bool(waiting.poll(0))
