from __future__ import annotations

import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelstack.platforms.kubernetes import database as module
from modelstack.platforms.kubernetes.database import Database, Place
from modelstack.platforms.kubernetes.measured import add, counter
from modelstack.platforms.kubernetes.schema import MIGRATIONS, allow, forget, keep, kept, prepare, told
from modelstack.rollout.core.errors import Busy, RolloutError, Unreachable
from tests.platforms.kubernetes.postgres import Server, new_database

URL = "postgresql://me:p%40ss@db.models:6432/captures?sslmode=require"


def test_a_url_says_where_and_as_whom_and_a_message_never_tells_the_password() -> None:
    place = Place.of(URL)
    assert (place.host, place.port, place.name, place.user, place.password) == (
        "db.models",
        6432,
        "captures",
        "me",
        "p@ss",
    )
    assert str(place) == "postgresql://me@db.models:6432/captures"
    assert "p@ss" not in repr(Database.of(URL))
    assert Place.of("postgresql://me@db/x").mode == "verify-full"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://me:secret@db/x", "got the scheme 'mysql'"),
        ("postgresql://db/x", "no user"),
        ("postgresql://me:secret@/x", "no host"),
        ("postgresql://me:secret@db", "no name"),
        ("postgresql://me:secret@db:99999/x", "the port"),
        ("postgresql://me:secret@db/x?sslmode=prefer", "expected one of disable, require, verify-ca, verify-full"),
        ("postgresql://me:secret@db/x?options=-c", "allowed are sslmode and sslrootcert"),
    ],
)
def test_a_url_that_is_none_is_refused_before_anything_is_asked(url: str, said: str) -> None:
    with pytest.raises(RolloutError) as caught:
        Database.of(url)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "flight 7", 'a "quoted" \\ text', "nul \x00", "alone \ud800", "ÄÖ 北京"])
def test_any_text_can_be_kept(text: str) -> None:
    assert kept(text).isascii()
    assert "\x00" not in kept(text)
    assert told(kept(text)) == text


@pytest.mark.needs("postgresql")
class TestOnPostgres:
    def test_a_wrong_password_is_told_as_the_server_says_it(self, postgres: Server) -> None:
        with pytest.raises(RolloutError) as caught:
            Database.of(postgres.url(password="wrong")).run("ask", "SELECT 1")
        assert type(caught.value) is RolloutError
        assert "password authentication failed" in str(caught.value)

    def test_encryption_is_as_the_url_asks_for(self, postgres: Server) -> None:
        def encrypted(query: str) -> bool:
            database = Database.of(postgres.url(query=query))
            try:
                return database.run("ask", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")[0][0]
            finally:
                database.close()

        assert encrypted("sslmode=disable") is False
        assert encrypted("sslmode=require") is True
        assert encrypted(f"sslmode=verify-full&sslrootcert={postgres.certificate}") is True
        assert encrypted(f"sslrootcert={postgres.certificate}") is True
        with pytest.raises(RolloutError, match="certificate verify failed") as caught:
            encrypted("sslmode=verify-full")
        assert type(caught.value) is RolloutError, "no repetition helps"
        with pytest.raises(RolloutError, match="sslrootcert: /nowhere"):
            encrypted("sslrootcert=/nowhere")

    def test_a_server_without_encryption_is_refused_where_that_is_wanted(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]

            def refuse() -> None:
                asked, _ = server.accept()
                with asked:
                    asked.recv(8)
                    asked.sendall(b"N")

            thread = threading.Thread(target=refuse)
            thread.start()
            with pytest.raises(Unreachable, match="Server refuses SSL"):
                Database.of(f"postgresql://me:x@127.0.0.1:{port}/x?sslmode=require").run("ask", "SELECT 1")
            thread.join()

    def test_nobody_there_is_unreachable(self) -> None:
        with pytest.raises(Unreachable, match=r"ask in postgresql://me@127\.0\.0\.1:1/x: "):
            Database.of("postgresql://me:x@127.0.0.1:1/x?sslmode=disable").run("ask", "SELECT 1")

    def test_a_connection_that_was_cut_off_while_idle_is_made_anew(self, store: Database, postgres: Server) -> None:
        store.run("ask", "SELECT 1")
        other = Database.of(postgres.url("postgres"))
        other.run("cut off", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'owner'")
        other.close()
        assert store.run("ask", "SELECT 1") == [[1]]

    def test_a_transaction_that_fails_leaves_nothing_and_its_connection_is_used_again(self, store: Database) -> None:
        def work(run: module.Run) -> None:
            run("INSERT INTO taken (endpoint, once) VALUES ('half', 'x')")
            raise RuntimeError("stop")

        with pytest.raises(RuntimeError, match="stop"):
            store.together("write", work)
        assert store.run("ask", "SELECT 1 FROM taken WHERE endpoint = 'half'") == []
        with pytest.raises(RolloutError, match="division by zero"):
            store.run("divide", "SELECT 1 / 0")
        assert store.run("ask", "SELECT 1") == [[1]]

    def test_a_lock_that_another_holds_is_busy_after_seconds(self, store: Database, endpoint: str) -> None:
        store.run("make", "INSERT INTO taken (endpoint, once) VALUES (:e, 'x')", e=endpoint)
        held, done = threading.Event(), threading.Event()

        def hold(run: module.Run) -> None:
            run("SELECT 1 FROM taken WHERE endpoint = :e FOR UPDATE", e=endpoint)
            held.set()
            done.wait(20)

        holder = threading.Thread(target=lambda: store.together("hold", hold))
        holder.start()
        held.wait(10)
        try:
            with pytest.raises(Busy, match="lock timeout"):
                store.run("delete", "DELETE FROM taken WHERE endpoint = :e", e=endpoint)
        finally:
            done.set()
            holder.join()

    def test_a_deadlock_is_tried_again(self, store: Database, endpoint: str) -> None:
        store.run("make", "INSERT INTO taken (endpoint, once) VALUES (:e, 'a'), (:e, 'b')", e=endpoint)
        meet = threading.Barrier(2, timeout=10)

        def cross(first: str, second: str) -> None:
            tries = 0

            def work(run: module.Run) -> None:
                nonlocal tries
                tries += 1
                update = "UPDATE taken SET received = now() WHERE endpoint = :e AND once = :once"
                run(update, e=endpoint, once=first)
                if tries == 1:
                    meet.wait()
                run(update, e=endpoint, once=second)

            store.together("cross", work)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(cross, "ab", "ba"))
        moved = store.run(
            "see", "SELECT count(*) FROM taken WHERE endpoint = :e AND received > now() - '1m'::interval", e=endpoint
        )
        assert moved == [[2]]

    def test_several_processes_prepare_one_empty_database_at_once(self, postgres: Server) -> None:
        new_database(postgres, "fresh")
        program = (
            "import sys; from modelstack.platforms.kubernetes.database import Database\n"
            "from modelstack.platforms.kubernetes.schema import prepare\n"
            "print(prepare(Database.of(sys.argv[1])))"
        )
        several = [
            subprocess.Popen([sys.executable, "-c", program, postgres.url("fresh")], stdout=subprocess.PIPE)
            for _ in range(3)
        ]
        counts = sorted(int(one.communicate(timeout=60)[0]) for one in several)
        assert counts == [0, 0, len(MIGRATIONS)]

    def test_a_schema_of_something_else_is_refused(self, postgres: Server) -> None:
        new_database(postgres, "strange")
        database = Database.of(postgres.url("strange"))
        prepare(database)
        database.run("change", "UPDATE migrations SET digest = 'other' WHERE number = 1")
        with pytest.raises(RolloutError, match="migration 1 is another one there"):
            prepare(database)
        database.close()

    def test_a_role_of_the_controllers_may_write_all_but_neither_change_nor_delete_audit_records(
        self, store: Database, postgres: Server, endpoint: str
    ) -> None:
        store.run("make", "CREATE ROLE controller LOGIN PASSWORD 'pass'")
        allow(store, "controller")
        database = Database.of(postgres.url(user="controller", password="pass"))
        database.run("add", "INSERT INTO audit (endpoint, number, line) VALUES (:e, 1, 'x')", e=endpoint)
        database.run("add", "INSERT INTO taken (endpoint, once) VALUES (:e, 'x')", e=endpoint)
        assert prepare(database) == 0
        for statement in (
            "UPDATE audit SET line = 'y'",
            "DELETE FROM audit",
            "TRUNCATE audit",
            "DROP TRIGGER audit_stays ON audit",
        ):
            with pytest.raises(RolloutError, match=r"permission denied|must be owner"):
                database.run("change", statement)
        for statement in ("UPDATE audit SET line = 'y'", "DELETE FROM audit", "TRUNCATE audit"):
            with pytest.raises(RolloutError, match="neither changed nor deleted"):
                store.run("change as the owner", statement)
        database.close()

    def test_what_is_old_is_forgotten_bit_by_bit_and_audit_records_stay(self, store: Database, endpoint: str) -> None:
        store.run(
            "make",
            "INSERT INTO taken (endpoint, once, received) SELECT :e, n::text, now() - make_interval(days => 60) "
            "FROM generate_series(1, 4500) AS n",
            e=endpoint,
        )
        store.run("make", "INSERT INTO taken (endpoint, once) VALUES (:e, 'new')", e=endpoint)
        store.run(
            "make",
            "INSERT INTO audit (endpoint, number, line, received) VALUES (:e, 1, 'x', now() - '9y'::interval)",
            e=endpoint,
        )
        store.run(
            "make",
            "INSERT INTO documents SELECT :e, key, 1, '{}', '', 0, now() - make_interval(days => 60) "
            "FROM unnest(ARRAY['drift#v-a', 'counted#file']) AS key",
            e=endpoint,
        )
        left, calls = "SELECT count(*) FROM taken WHERE endpoint = :e", 1
        while forget(store):
            calls += 1
        assert calls == 3
        assert store.run("see", left, e=endpoint) == [[1]]
        assert store.run("see", "SELECT key FROM documents WHERE endpoint = :e", e=endpoint) == [["drift#v-a"]]
        assert store.run("see", "SELECT count(*) FROM audit WHERE endpoint = :e", e=endpoint) == [[1]]

    def test_requests_are_kept_for_as_long_as_their_endpoint_says_and_a_month_where_none_does(
        self, store: Database, endpoint: str
    ) -> None:
        short, long, none = (f"{endpoint}-{name}" for name in ("short", "long", "none"))
        for name in (short, long, none):
            for table in ("captures (endpoint, variant, number, lines, received)", "events"):
                of, values = table, ":e, 'v', d, '', now() - make_interval(days => d)"
                if table == "events":
                    of, values = (
                        "events (endpoint, variant, event, received)",
                        (":e, 'v', d::text, now() - make_interval(days => d)"),
                    )
                store.run("make", f"INSERT INTO {of} SELECT {values} FROM generate_series(1, 60, 10) AS d", e=name)
        keep(store, {short: 99, long: 365})
        keep(store, {short: 5, long: 50})
        while forget(store):
            pass
        for table in ("captures", "events"):
            left = f"SELECT count(*) FROM {table} WHERE endpoint = :e"
            found = [store.run("see", left, e=name)[0][0] for name in (short, long, none)]
            assert found == [1, 5, 3], table
        store.run("clear", "DELETE FROM retention")

    def test_the_series_of_a_variant_that_is_silent_are_forgotten_and_those_of_the_endpoint_stay(
        self, store: Database, endpoint: str
    ) -> None:
        rows = [counter("CaptureRows", variant=variant) for variant in ("v-old", "v-new")]
        store.together("add", lambda run: add(run, endpoint, {**dict.fromkeys(rows, 1.0), counter("LabelsUnknown"): 1}))
        age = "UPDATE counters SET changed = now() - '60d'::interval WHERE endpoint = :e"
        store.run("age", age, e=endpoint)
        store.together("add", lambda run: add(run, endpoint, {rows[1]: 1.0}))
        forget(store)
        kept = store.run("see", "SELECT name, labels, value FROM counters WHERE endpoint = :e ORDER BY 1", e=endpoint)
        assert kept == [[*rows[1], 2.0], ["modelstack_labels_unknown_total", "{}", 1.0]]

    def test_what_was_acknowledged_survives_the_death_of_the_server(
        self, postgres: Server, store: Database, endpoint: str
    ) -> None:
        store.run("make", "INSERT INTO taken (endpoint, once) VALUES (:e, 'x')", e=endpoint)
        postgres.kill()
        with pytest.raises(Unreachable):
            store.run("see", "SELECT 1")
        postgres.start()
        assert store.run("see", "SELECT once FROM taken WHERE endpoint = :e", e=endpoint) == [["x"]]
