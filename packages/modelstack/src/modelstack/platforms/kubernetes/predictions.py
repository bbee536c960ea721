"""Search for a prediction by its id: in the ledger and event ids, else in the captures.

PostgreSQL searches the captures page by page, and returns only files that contain the id.
"""

from __future__ import annotations

from typing import Any

from modelstack.monitoring.predictions import Prediction, Search, of_entry
from modelstack.platforms.kubernetes.captures import known_by
from modelstack.platforms.kubernetes.database import Database, Run
from modelstack.platforms.kubernetes.documents import PostgresDocuments
from modelstack.platforms.kubernetes.prediction_query import FOREVER, PredictionQuery
from modelstack.services.ledger import entry_of

_BYTES, _FILES = 64 * 1024 * 1024, 5_000  # that one page looks through
_HITS = 20  # files with the id that come from the database at once
_LATE = 600.0  # seconds that a capture may come after its answer: a pod tries again while the database is down
_OF_TIME = "endpoint = :endpoint AND received >= to_timestamp(:since) AND received < to_timestamp(:until)"
_NEWEST = f"""
SELECT extract(epoch FROM received)::float8 FROM (
  SELECT received, sum(octet_length(lines)) OVER (ORDER BY received DESC) - octet_length(lines) AS later
  FROM (SELECT received, lines FROM captures WHERE {_OF_TIME} ORDER BY received DESC LIMIT :most) AS newest) AS summed
WHERE later < :bytes ORDER BY received DESC"""  # noqa: S608  names of our own, here and below
_HOLDING = f"""
SELECT extract(epoch FROM received)::float8, variant, lines FROM captures
WHERE {_OF_TIME} AND position(:needle in lines) > 0
ORDER BY received DESC FETCH FIRST {_HITS} ROWS WITH TIES"""  # noqa: S608


def page(database: Database, endpoint: str, wanted: PredictionQuery) -> dict[str, Any]:
    """One page of a search, newest first.

    Returns:
        `exact` and `begun`, as in `modelstack.monitoring.predictions.Search`; `files`, the number of searched files;
        `oldest`, on the first page, the time of the oldest capture; and `before` for the next page, None at the end.
    """
    search, oldest = Search(wanted.word, wanted.whole), None
    if wanted.before is None:
        oldest = _oldest(database, endpoint)
        for found in (*_in_the_ledger(database, endpoint, wanted), *_by_event(database, endpoint, wanted)):
            search.take(found)
    files, before = (0, None) if search.exact else _captured(database, endpoint, wanted, search)
    exact, begun = ([one.as_dict() for one in found] for found in (search.exact, search.begun))
    return {"exact": exact, "begun": begun, "files": files, "oldest": oldest, "before": before}


def _oldest(database: Database, endpoint: str) -> float | None:
    found = database.run(
        f"see since when captures of {endpoint} are kept",
        "SELECT extract(epoch FROM min(received))::float8 FROM captures WHERE endpoint = :endpoint",
        endpoint=endpoint,
    )
    return found[0][0]


def _in_the_ledger(database: Database, endpoint: str, wanted: PredictionQuery) -> tuple[Prediction, ...]:
    entry = entry_of(PostgresDocuments(database, endpoint), wanted.word)
    return of_entry(entry, wanted.window) if entry else ()


def _by_event(database: Database, endpoint: str, wanted: PredictionQuery) -> list[Prediction]:
    """The predictions of an event id; a file has the receipt time of its transaction."""
    search = Search(wanted.word, whole=True)
    found = database.run(
        "look for an event",
        "SELECT c.variant, c.lines FROM events AS e JOIN captures AS c USING (endpoint, variant, received) "
        "WHERE e.event = :event AND e.endpoint = :endpoint",
        event=known_by(wanted.word),
        endpoint=endpoint,
    )
    for variant, lines in found:
        search.look(variant, bytes(lines))
    return [one for one in search.exact if one.at is None or one.at in wanted.window]


def _captured(database: Database, endpoint: str, wanted: PredictionQuery, search: Search) -> tuple[int, float | None]:
    """Search the next captures: the number of files, and `before` for the next page, None at the end."""
    since = max(wanted.window.since, 0.0)
    until = min(wanted.window.until + _LATE, FOREVER) if wanted.before is None else wanted.before
    of = {"endpoint": endpoint, "since": since}

    def look(run: Run) -> tuple[list[list[Any]], list[list[Any]]]:
        newest = run(_NEWEST, until=until, most=_FILES, bytes=_BYTES, **of)
        if not newest:
            return [], []
        of_these = {**of, "since": newest[-1][0]}
        return newest, run(_HOLDING, until=until, needle=search.needle, **of_these)

    newest, holding = database.together(f"look for a prediction of {endpoint}", look)
    for _, variant, lines in holding:
        search.look(variant, bytes(lines))
    if not newest:
        return 0, None
    reached = holding[-1][0] if len(holding) >= _HITS else newest[-1][0]
    return sum(at >= reached for (at,) in newest), reached
