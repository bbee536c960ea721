"""PostgreSQL connections with short timeouts, atomic transactions, and errors that say what to do next.

The response to a COMMIT can be lost. So every write must be idempotent, by its keys.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection, PreparedStatement

from modelstack.rollout.core.errors import Busy, RolloutError, Unreachable

SCHEMA = "modelstack"
_CONNECT_S, _ANSWER_S = 3.0, 10.0
_BEGIN = (
    f"BEGIN; SET LOCAL search_path = {SCHEMA}; SET LOCAL statement_timeout = '8s'; SET LOCAL lock_timeout = '3s'; "
    "SET LOCAL idle_in_transaction_session_timeout = '30s'"
)
"""These settings are local to the transaction, because a pooler may use another connection for each one.
It has to support prepared statements, as PgBouncer does since 1.21."""
_MOST = 8  # connections of one process: a controller has few threads, and a database few hundred connections
_TRIES = 4  # of a transaction that another one was in the way of
_MODES = ("disable", "require", "verify-ca", "verify-full")
_AGAIN = {"40001", "40P01"}  # serialization failure, deadlock: the same transaction may succeed
_BUSY = {"55P03", "57014", "53000", "53100", "53200", "53300", "53400"}  # locks, a statement's time, room, connections
_DOWN = {"57P01", "57P02", "57P03", "57P05", "25006", "08000", "08003", "08006"}  # it ends, begins, or is a standby

T = TypeVar("T")


class Run(Protocol):
    """Runs one statement of a transaction, with named parameters such as `:name`."""

    def __call__(self, statement: str, **values: Any) -> list[list[Any]]:
        """The rows of the result."""


@dataclass(frozen=True)
class Place:
    """The address of a database; `mode` is libpq's `sslmode`, and `root` a CA file, empty for the system's CAs."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)
    mode: str = "verify-full"
    root: str = ""

    @classmethod
    def of(cls, url: str) -> Place:
        """Parse `postgresql://user:password@host:port/name?sslmode=…&sslrootcert=…`; errors omit the password."""
        parts = urlsplit(url)
        try:
            port = parts.port or 5432
        except ValueError:
            raise RolloutError("database URL: the port is no number from 1 to 65535") from None
        if parts.scheme not in ("postgresql", "postgres"):
            raise RolloutError(f"database URL: got the scheme {parts.scheme!r}, expected postgresql")
        for what, value in (("user", parts.username), ("host", parts.hostname), ("name", parts.path.strip("/"))):
            if not value:
                raise RolloutError(f"database URL: no {what}; expected postgresql://USER:PASSWORD@HOST:PORT/NAME")
        given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        unknown = sorted(given.keys() - {"sslmode", "sslrootcert"})
        if unknown:
            raise RolloutError(f"database URL: got {', '.join(unknown)}, allowed are sslmode and sslrootcert")
        mode = given.get("sslmode", "verify-full")
        if mode not in _MODES:
            raise RolloutError(f"database URL: sslmode: got {mode!r}, expected one of {', '.join(_MODES)}")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        name = unquote(parts.path.strip("/"))
        return cls(parts.hostname or "", port, name, user, password, mode, given.get("sslrootcert", ""))

    def __str__(self) -> str:
        return f"postgresql://{self.user}@{self.host}:{self.port}/{self.name}"

    @property
    def encryption(self) -> ssl.SSLContext | bool:
        """The `ssl_context` of pg8000."""
        if self.mode == "disable":
            return False
        try:
            context = ssl.create_default_context(cafile=self.root or None)
        except OSError as error:
            raise RolloutError(f"database URL: sslrootcert: {self.root}: {error}") from error
        context.check_hostname = self.mode == "verify-full"
        if self.mode == "require":
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True)
class _Session:
    """A connection and its prepared statements, each of which is sent and parsed once."""

    connection: Connection
    prepared: dict[str, PreparedStatement] = field(default_factory=dict[str, PreparedStatement])

    def run(self, statement: str, **values: Any) -> list[list[Any]]:
        if not values:  # it may be several, which cannot be prepared
            return self.connection.run(statement) or []
        if statement not in self.prepared:
            self.prepared[statement] = self.connection.prepare(statement)
        return self.prepared[statement].run(**values) or []


@dataclass
class Database:
    """A database, by a small pool of connections. Thread-safe."""

    place: Place
    _idle: list[_Session] = field(default_factory=list[_Session], repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _free: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_MOST), repr=False)

    @classmethod
    def of(cls, url: str) -> Database:
        """The database at a URL, not yet connected; raises RolloutError if the URL is invalid."""
        return cls(Place.of(url))

    def together(self, doing: str, work: Callable[[Run], T]) -> T:
        """Run a transaction, which `work` executes; `work` is called again after a conflict with another transaction.

        Raises:
            Busy: Others were in the way, or the database is full; nothing was stored.
            Unreachable: The database does not answer; the change may be stored or not.
            RolloutError: The database refuses; the message has its own words.
        """
        for left in reversed(range(_TRIES)):
            try:
                return self._once(doing, work)
            except _Again as error:
                if not left:
                    raise Busy(f"{doing} in {self.place}: {error}") from error
        raise AssertionError("a transaction ends or raises")

    def run(self, doing: str, statement: str, **values: Any) -> list[list[Any]]:
        """Run one statement in its own transaction; raises as `together`."""
        return self.together(doing, lambda run: run(statement, **values))

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            _end(one)

    def _once(self, doing: str, work: Callable[[Run], T]) -> T:
        with self._connected(doing) as session:
            try:
                done = work(session.run)
                session.run("COMMIT")
            except DatabaseError as error:
                with suppress(DatabaseError):
                    session.run("ROLLBACK")
                raise _meant(f"{doing} in {self.place}", error) from error
            except (InterfaceError, OSError):
                raise
            except Exception:
                session.run("ROLLBACK")
                raise
            return done

    @contextmanager
    def _connected(self, doing: str) -> Generator[_Session]:
        """A connection in a new transaction; a broken one is closed."""
        if not self._free.acquire(timeout=_CONNECT_S):
            raise Busy(f"{doing} in {self.place}: all {_MOST} connections of this process are at work")
        session = None
        try:
            session = self._begun()
            yield session
        except ssl.SSLCertVerificationError as error:
            raise RolloutError(f"{doing} in {self.place}: {_words(error)}; see sslmode and sslrootcert") from error
        except (InterfaceError, OSError) as error:
            _end(session)
            session = None
            raise Unreachable(f"{doing} in {self.place}: {_words(error)}") from error
        except BaseException as error:
            if not isinstance(error, Exception) or isinstance(error, Unreachable):
                _end(session)
                session = None
            raise
        finally:
            if session is not None:
                with self._lock:
                    self._idle.append(session)
            self._free.release()

    def _begun(self) -> _Session:
        """An idle connection may have been cut off; then the next one is used, because nothing was sent yet."""
        while True:
            with self._lock:
                idle = self._idle.pop() if self._idle else None
            if idle is None:
                return self._new()
            try:
                idle.run(_BEGIN)
            except (DatabaseError, InterfaceError, OSError):
                _end(idle)
            else:
                return idle

    def _new(self) -> _Session:
        place = self.place
        reached = socket.create_connection((place.host, place.port), _CONNECT_S)
        reached.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        reached.settimeout(_ANSWER_S)
        try:
            made = Connection(
                place.user,
                host=place.host,
                database=place.name,
                password=place.password or None,
                ssl_context=place.encryption,
                sock=reached,
                application_name="modelstack",
            )
            made.run(_BEGIN)
        except DatabaseError as error:
            reached.close()
            raise _meant(f"connect to {place}", error) from error
        except BaseException:
            reached.close()
            raise
        return _Session(made)


class _Again(RolloutError):
    """A conflict with another transaction; a retry may succeed."""


def _meant(doing: str, error: DatabaseError) -> RolloutError:
    said = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    code, text = str(said.get("C", "")), f"{doing}: {_words(error)}"
    if code in _AGAIN:
        return _Again(_words(error))
    if code in _BUSY:
        return Busy(text)
    return Unreachable(text) if code in _DOWN else RolloutError(text)


def _words(error: Exception) -> str:
    """The message of an error, in one line, with the server's code if there is one."""
    said = error.args[0] if error.args else None
    if isinstance(said, dict):
        return f"{said.get('M', '')} ({said.get('C', '')})"
    cause = f": {error.__cause__}" if error.__cause__ else ""
    return " ".join(f"{str(error) or type(error).__name__}{cause}".split())


def _end(session: _Session | None) -> None:
    if session is not None:
        with suppress(Exception):
            session.connection.close()
