"""The PostgreSQL schema: migrations, permissions and retention.

Callers' ids and names are stored as the content of a JSON string, in ASCII, because PostgreSQL's text allows no NUL.
Primary keys begin with the most selective column: a plan that reads all rows of an endpoint must never look cheap.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from modelstack.forms import check
from modelstack.platforms.kubernetes.database import SCHEMA, Database, Run
from modelstack.rollout.core.errors import RolloutError
from modelstack.services.documents import LASTING

_LOCK = 0x6D6F64656C  # "model": the advisory lock of who changes the schema
LEDGER_DAYS = 45  # days for which a label or prediction waits for its counterpart, and is known to have counted
REQUESTS_DAYS = 30  # default retention of captured requests and files of labels, days
_AT_ONCE = {"captures": 50, "label_files": 20}
_REQUESTS = (*_AT_ONCE, "aside", "events")
_ROWS = 2000  # that one call deletes of each other table
_SILENT_DAYS = 45
_SERIES = {
    "counters": "changed < now() - make_interval(days => :days) AND labels LIKE '%\"variant\"%'",
    "gauges": "until < now() - make_interval(days => :days)",
}
"""Expired series: not updated for so many days, and of a variant."""

MIGRATIONS = (
    """
CREATE TABLE variants (
    endpoint text, variant text, last bigint NOT NULL, joined bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (endpoint, variant));
CREATE TABLE captures (
    endpoint text, variant text, number bigint, received timestamptz NOT NULL DEFAULT now(), lines bytea NOT NULL,
    PRIMARY KEY (endpoint, variant, number));
CREATE INDEX captures_received ON captures (received);
CREATE TABLE events (
    endpoint text, variant text, event text, received timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event, variant, endpoint));
CREATE INDEX events_received ON events USING brin (received);
CREATE TABLE aside (
    endpoint text, kind text, name text, received timestamptz NOT NULL DEFAULT now(), lines text NOT NULL,
    PRIMARY KEY (endpoint, kind, name));
CREATE INDEX aside_received ON aside (received);
CREATE TABLE label_files (
    endpoint text, digest text, name text NOT NULL, received timestamptz NOT NULL DEFAULT now(),
    lines bytea NOT NULL, taken boolean NOT NULL DEFAULT false,
    PRIMARY KEY (endpoint, digest));
CREATE INDEX label_files_waiting ON label_files (endpoint, received) WHERE NOT taken;
CREATE TABLE taken (
    endpoint text, once text, received timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (endpoint, once));
CREATE INDEX taken_received ON taken USING brin (received);
CREATE TABLE labels (
    endpoint text, id text, label text NOT NULL, source text NOT NULL,
    received timestamptz NOT NULL DEFAULT now(), waiting boolean NOT NULL DEFAULT true,
    PRIMARY KEY (id, endpoint));
CREATE INDEX labels_waiting ON labels (endpoint, received) WHERE waiting;
CREATE INDEX labels_received ON labels USING brin (received);
CREATE TABLE answers (
    endpoint text, id text, variant text, answer text NOT NULL, state text NOT NULL DEFAULT 'open',
    received timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, variant, endpoint), CHECK (state IN ('open', 'joined', 'unusable')));
CREATE INDEX answers_received ON answers USING brin (received);
CREATE TABLE joined_batches (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, endpoint text NOT NULL, variant text NOT NULL,
    content text NOT NULL);
ALTER TABLE joined_batches ALTER content SET STORAGE EXTERNAL;
CREATE INDEX joined_batches_of ON joined_batches (endpoint, variant, number);
CREATE TABLE standings (
    endpoint text, variant text, standing text NOT NULL, told text NOT NULL,
    PRIMARY KEY (endpoint, variant));
CREATE TABLE drift (
    endpoint text, variant text, revision bigint NOT NULL DEFAULT 0, reading text, begun integer NOT NULL DEFAULT 0,
    PRIMARY KEY (endpoint, variant));
CREATE TABLE counters (
    endpoint text, name text, labels text, value double precision NOT NULL CHECK (value >= 0),
    PRIMARY KEY (endpoint, name, labels));
CREATE TABLE gauges (
    endpoint text, name text, labels text, value double precision NOT NULL, until timestamptz NOT NULL,
    PRIMARY KEY (endpoint, name, labels));
CREATE TABLE audit (
    endpoint text, number bigint, line text NOT NULL, received timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (endpoint, number));
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN RAISE EXCEPTION 'audit records are neither changed nor deleted'; END $body$;
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
""",
    "ALTER TABLE counters ADD changed timestamptz NOT NULL DEFAULT now();",
    "CREATE TABLE retention (endpoint text PRIMARY KEY, days integer NOT NULL CHECK (days > 0));",
    """
ALTER TABLE audit ADD rollout text NOT NULL DEFAULT '';
ALTER TABLE audit DROP CONSTRAINT audit_pkey, ADD PRIMARY KEY (endpoint, rollout, number);
""",
    """
CREATE TABLE documents (
    endpoint text, key text, revision bigint NOT NULL, body text NOT NULL, queue text NOT NULL,
    since double precision NOT NULL, received timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key, endpoint));
CREATE INDEX documents_queued ON documents (endpoint, queue, since, key) WHERE queue <> '';
CREATE INDEX documents_received ON documents USING brin (received);
""",
    "DROP TABLE labels, answers, joined_batches, standings, drift;",  # all of it is in documents now
)
"""Applied in this order, each once. A released one never changes."""


def prepare(database: Database) -> int:
    """Apply the missing migrations, safely from several processes at once; returns their number.

    Raises RolloutError if the schema has other or newer migrations, or the role may not change it.
    """
    return database.together("prepare the schema", _prepared)


def _prepared(run: Run) -> int:
    known = run("SELECT to_regclass(:name)::text", name=f"{SCHEMA}.migrations")[0][0]
    if known is None or len(_applied(run)) < len(MIGRATIONS):
        run("SELECT pg_advisory_xact_lock(:lock)", lock=_LOCK)
        run(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        run("CREATE TABLE IF NOT EXISTS migrations (number integer PRIMARY KEY, digest text NOT NULL)")
    applied = _applied(run)
    check("PostgreSQL schema", len(applied), RolloutError)
    expected = [hashlib.sha256(text.encode()).hexdigest() for text in MIGRATIONS]
    for number, (found, wanted) in enumerate(zip(applied, expected, strict=False), 1):
        if found != wanted:
            raise RolloutError(
                f"schema {SCHEMA}: migration {number} is another one there ({found[:12]}, expected {wanted[:12]}): "
                "the database belongs to something else, or the code was changed after it was released"
            )
    for number, text in list(enumerate(MIGRATIONS, 1))[len(applied) :]:
        run(text)
        run("INSERT INTO migrations VALUES (:number, :digest)", number=number, digest=expected[number - 1])
    return max(0, len(MIGRATIONS) - len(applied))


def _applied(run: Run) -> list[str]:
    return [digest for (digest,) in run("SELECT digest FROM migrations ORDER BY number")]


def allow(database: Database, role: str) -> None:
    """Grant a role the controller's permissions, as the owner of the schema: it can read and add audit records."""
    quoted = '"' + role.replace('"', '""') + '"'

    def granted(run: Run) -> None:
        run(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {quoted}")
        run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO {quoted}")
        run(f"REVOKE UPDATE, DELETE ON audit FROM {quoted}")
        run(f"REVOKE INSERT, UPDATE, DELETE ON migrations FROM {quoted}")

    database.together(f"allow role {role}", granted)


def keep(database: Database, days: Mapping[str, int]) -> None:
    """Set for how many days the requests of endpoints are kept."""
    database.run(
        "say how long requests are kept",
        "INSERT INTO retention AS r (endpoint, days) SELECT * FROM unnest(:names::text[], :days::integer[]) "
        "ON CONFLICT (endpoint) DO UPDATE SET days = excluded.days WHERE r.days <> excluded.days",
        names=list(days),
        days=list(days.values()),
    )


def forget(database: Database) -> bool:
    """Delete a bounded number of expired rows; whether there may be more.

    Requests expire as set by `keep`, the ledger after `LEDGER_DAYS`. Totals of an endpoint and audit records stay.
    """
    old = "received < now() - make_interval(days => :days)"
    # The first condition is what the index is for; no endpoint keeps its requests for fewer days.
    requests = (
        "received < now() - make_interval(days => least(:days, (SELECT min(days) FROM retention))) "
        "AND received < now() - make_interval(days => coalesce("
        "(SELECT r.days FROM retention r WHERE r.endpoint = {table}.endpoint), :days))"
    )
    every = {table: (requests.format(table=table), REQUESTS_DAYS) for table in _REQUESTS}
    passing = " AND ".join([old, *(f"key NOT LIKE '{prefix}%'" for prefix in LASTING)])
    every |= {"taken": (old, LEDGER_DAYS), "documents": (passing, LEDGER_DAYS)}
    every |= {table: (silent, _SILENT_DAYS) for table, silent in _SERIES.items()}
    more = False
    for table, (gone_by, days) in every.items():
        most = _AT_ONCE.get(table, _ROWS)
        gone = database.run(
            f"forget old {table}",
            f"DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} "  # noqa: S608  names of our own
            f"WHERE {gone_by} LIMIT :most FOR UPDATE SKIP LOCKED)) RETURNING 1",
            days=days,
            most=most,
        )
        more = more or len(gone) == most
    return more


def kept(text: str) -> str:
    """A text as stored, in ASCII."""
    return json.dumps(text)[1:-1]


def told(text: str) -> str:
    """The inverse of `kept`."""
    return json.loads(f'"{text}"')
