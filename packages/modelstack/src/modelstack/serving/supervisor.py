"""The first process of a container: it listens, hands connections to workers, and survives their crashes.

A worker is a process that loads the model and answers. If one crashes or hangs, its pending requests get an error
status, its other connections move to its replacement, and no other request is affected.
"""

from __future__ import annotations

import contextlib
import json
import resource
import select
import selectors
import signal
import socket
import sys
import time
from math import inf

from modelstack.serving.channel import DRAIN, READY
from modelstack.serving.memory import BUSY, IDLE, MOST_CONNECTIONS, WRITING, Memory
from modelstack.serving.processes import WorkerProcess, reaped, started
from modelstack.serving.settings import RuntimeSettings

DRAIN_SECONDS = 25.0
"""Until open connections are cut off at a drain; SageMaker and Kubernetes end a container after 30."""
BEATS = 5.0
"""Seconds without a heartbeat, beyond a request's own limit, after which a worker counts as hung. A busy machine may
delay a heartbeat for long."""
_PAUSES = (0.1, 0.5, 2.0, 5.0)  # before each restart of a worker; the last one for ever
_DEAF = 1.0  # seconds without accepting after accept failed
_STEADY = 30.0  # seconds after which a start counts as good
_GRACE = 1.0  # seconds that each connection has without an answer, however many clients wait
_EVICTED, _EVERY = 64, 0.05  # connections that make room at once, and seconds between two such times
_RESERVED = 64  # descriptors of a process in addition to its connections


class Supervisor:
    """Serves until SIGTERM."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings
        self._memory = Memory.create(settings.workers)
        self._counts = self._memory.counts(settings.workers)
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, WorkerProcess] = {}
        self._connections: dict[int, socket.socket] = {}
        self._free = list(range(_most_connections()))
        self._homeless: list[int] = []  # connections that no worker has taken yet
        self._failures = [0] * settings.workers
        self._again: dict[int, float] = {}  # worker -> time of its restart
        self._listener: socket.socket | None = None
        self._served = False
        self._evicts_after = 0.0
        self._deaf_until = 0.0  # no connection is accepted before
        self._draining_until = 0.0
        self._status: int | None = None

    def run(self) -> int:
        """Serve, and return the exit status: 0 after a drain, else that of the worker that could not start."""
        self._listener = _listener(self._settings)
        wake, woken = socket.socketpair()
        woken.setblocking(False)
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._selector.register(woken, selectors.EVENT_READ, lambda: woken.recv(4096))
        for number in range(self._settings.workers):
            self._start(number)
        while self._status is None:
            for key, _ in self._selector.select(timeout=0.2):
                key.data()
            self._look(time.monotonic())
        for worker in self._workers.values():
            worker.process.kill()
        for worker in self._workers.values():
            worker.process.wait()
        return self._status

    def _on_signal(self, number: int, frame: object) -> None:
        if self._draining_until:
            self._status = 0
            return
        self._draining_until = time.monotonic() + DRAIN_SECONDS
        self._again.clear()

    # Workers.

    def _start(self, number: int) -> None:
        worker = self._workers[number] = started(number, self._settings, self._memory)
        self._selector.register(worker.channel.end, selectors.EVENT_READ, lambda: self._hear(worker))

    def _hear(self, worker: WorkerProcess) -> None:
        words = worker.channel.words()
        if words is None:
            self._ended(worker)
            return
        for word in words:
            if word == READY:
                self._ready(worker)
            else:
                worker.slots.discard(word)
                self._close(word)

    def _ready(self, worker: WorkerProcess) -> None:
        worker.ready = True
        if self._draining_until:
            self._say_drain(worker)
            return
        self._house()
        if not self._served and self._listener is not None:
            self._served = True
            self._listener.listen(1024)
            self._listening(True)
            _tell(f"ready on http://{self._settings.host}:{self._settings.port}, workers: {self._settings.workers}")

    def _ended(self, worker: WorkerProcess) -> None:
        """Answer the pending requests of a worker that ended, and move its other connections."""
        self._selector.unregister(worker.channel.end)
        worker.channel.end.close()
        status = reaped(worker.process)
        self._memory.block(worker.number, 0.0)
        for gauge in ("waiting", "connections"):  # else they stay until the next worker has loaded the model
            self._memory.counts(worker.number).put(gauge, 0)
        del self._workers[worker.number]
        for slot in worker.slots:
            state = self._memory.states[slot]
            if state == IDLE:
                self._homeless.append(slot)
                continue
            if state == BUSY:
                self._answer_for(slot, worker)
            self._close(slot)
        if self._draining_until:
            return
        if not self._served:
            self._status = status if status > 0 else 3
            return
        self._counts.add("restarts")
        steady = time.monotonic() - worker.started > _STEADY
        failures = self._failures[worker.number] = 1 if steady else self._failures[worker.number] + 1
        pause = _PAUSES[min(failures, len(_PAUSES)) - 1]
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        _tell(f"worker {worker.number} {how}; it is started again in {pause:g} s")
        self._again[worker.number] = time.monotonic() + pause
        self._house()

    def _answer_for(self, slot: int, worker: WorkerProcess) -> None:
        kind, status, why = ("deadline", b"504 Gateway Timeout", b"the model did not answer in time")
        if not worker.hung:
            kind, status, why = ("crash", b"500 Internal Server Error", b"the process that predicted ended")
        self._counts.failed(kind)
        body = b'{"error":"%b"}' % why
        head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%bConnection: close\r\n\r\n"
        with contextlib.suppress(OSError):
            self._connections[slot].send(head % (status, len(body), self._settings.named) + body, socket.MSG_DONTWAIT)

    # Connections.

    def _accept(self) -> None:
        while self._free and self._listener is not None:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:  # the client has gone
                continue
            except OSError as error:  # out of descriptors or memory
                _tell(f"a connection could not be accepted: {error}")
                self._deaf_until = time.monotonic() + _DEAF
                self._listening(False)
                return
            slot = self._free.pop()
            self._connections[slot] = connection
            self._memory.states[slot] = IDLE
            self._memory.since[slot] = time.monotonic()
            self._hand_over(slot)
        self._listening(False)

    def _hand_over(self, slot: int) -> None:
        for worker in sorted((one for one in self._workers.values() if one.ready), key=lambda one: len(one.slots)):
            try:
                worker.channel.hand_over(slot, self._connections[slot])
            except OSError:  # it has ended, or its channel is full
                continue
            worker.slots.add(slot)
            return
        self._homeless.append(slot)

    def _house(self) -> None:
        """Hand over connections without a worker."""
        homeless, self._homeless = self._homeless, []
        for slot in homeless:
            self._hand_over(slot)

    def _evict(self, now: float) -> None:
        """Make room for clients that wait: end the connections that had no answer for the longest time.

        A worker takes it for the end of what the client sends, so it still answers requests that have arrived.
        """
        self._evicts_after = now + _EVERY
        since, states = self._memory.since, self._memory.states
        late = sorted((since[slot], slot) for slot in self._connections if now - since[slot] > _GRACE)
        for _, slot in late[:_EVICTED]:
            since[slot] = inf
            with contextlib.suppress(OSError):
                self._connections[slot].shutdown(socket.SHUT_RDWR if states[slot] == WRITING else socket.SHUT_RD)

    def _close(self, slot: int) -> None:
        connection = self._connections.pop(slot, None)
        if connection is None:
            return
        connection.close()
        self._free.append(slot)
        self._listening(not self._deaf_until)

    def _listening(self, on: bool) -> None:
        if self._listener is None or not self._served:
            return
        registered = self._listener.fileno() in self._selector.get_map()
        if on and not registered:
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        elif not on and registered:
            self._selector.unregister(self._listener)

    # Time.

    def _look(self, now: float) -> None:
        for number, when in [*self._again.items()]:
            if now >= when:
                del self._again[number]
                self._start(number)
        self._house()
        if self._listener is not None and not self._free and now > self._evicts_after and _is_called(self._listener):
            self._evict(now)
        if self._deaf_until and now > self._deaf_until:
            self._deaf_until = 0.0
            self._listening(bool(self._free))
        for worker in self._workers.values():
            if worker.ready and not worker.hung and (why := self._hangs(worker.number, now)):
                worker.hung = True
                _tell(f"worker {worker.number} {why} and is killed")
                worker.process.kill()
        if self._draining_until:
            self._drain(now)

    def _hangs(self, number: int, now: float) -> str:
        """Why a worker counts as hung; empty when it does not."""
        seconds, since = self._settings.seconds, self._memory.blocked(number)
        if since and now - since > seconds:
            return f"predicted for more than {seconds:g} s"
        longest = seconds + BEATS
        return f"gave no sign of life for {longest:g} s" if now - self._memory.beaten(number) > longest else ""

    def _drain(self, now: float) -> None:
        if self._listener is not None:
            self._accept()  # clients that have connected already are answered
            self._listening(False)
            self._listener.close()
            self._listener = None
            for worker in self._workers.values():
                if worker.ready:
                    self._say_drain(worker)
                else:
                    worker.process.kill()
        if not self._workers or now > self._draining_until:
            self._status = 0

    def _say_drain(self, worker: WorkerProcess) -> None:
        with contextlib.suppress(OSError):
            worker.channel.say(DRAIN)


def _most_connections() -> int:
    wanted = MOST_CONNECTIONS + _RESERVED
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < wanted:
        allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return max(1, min(wanted, allowed) - _RESERVED)


def _listener(settings: RuntimeSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # It does not listen yet, so connections are refused until the model is ready.
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((settings.host, settings.port))
    made.setblocking(False)
    return made


def _is_called(port: socket.socket) -> bool:
    waiting = select.poll()
    waiting.register(port, select.POLLIN)
    return bool(waiting.poll(0))


def _tell(text: str) -> None:
    print(json.dumps({"event": "supervisor", "text": text}), file=sys.stderr, flush=True)
