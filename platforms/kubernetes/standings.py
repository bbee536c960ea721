"""How each variant stands by its labels: summed up in PostgreSQL, each batch once, and told as levels.

One transaction takes batches out of the table, and stores what they make of the standing. Who comes while another one
does that for a variant leaves it to that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from monitoring.labels.claimed import answered_of, rows_of
from monitoring.labels.standing import Promised, Standing
from monitoring.labels.told import told
from monitoring.log import log
from platforms.kubernetes.database import Database, Run
from platforms.kubernetes.measured import gauge, tell

_TOGETHER = 50  # batches of one transaction
_SHOWN_S = 86_400.0  # how long a level is shown when no label comes any more


@dataclass(frozen=True)
class Standings:
    """How the variants of one endpoint stand."""

    database: Database
    endpoint: str

    def sum_up(self, promised: Callable[[str], Promised | None]) -> None:
        """Sum up what was joined since, and tell it.

        Args:
            promised: What a variant's release was sealed with; None when the release is not known any more.
        """
        waiting = self.database.run(
            f"look for joined labels of {self.endpoint}",
            "SELECT DISTINCT variant FROM joined_batches WHERE endpoint = :endpoint ORDER BY variant",
            endpoint=self.endpoint,
        )
        for (variant,) in waiting:
            known = promised(variant)
            while self.database.together(
                f"sum up the labels of {variant}", lambda run, of=(variant, known): self._take(run, *of)
            ):
                pass

    def _take(self, run: Run, variant: str, promised: Promised | None) -> bool:
        """Sum up some batches; returns whether there are more. Days are judged once there are none."""
        of = {"endpoint": self.endpoint, "variant": variant}
        lock = "SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))"
        if not run(lock, name=f"standing {self.endpoint} {variant}")[0][0]:
            return False
        taken = run(
            "DELETE FROM joined_batches WHERE number IN (SELECT number FROM joined_batches "
            "WHERE endpoint = :endpoint AND variant = :variant ORDER BY number LIMIT :most) RETURNING number, content",
            most=_TOGETHER,
            **of,
        )
        if not taken:
            return False
        bodies: list[dict[str, Any]] = [json.loads(content) for _, content in sorted(taken)]
        kept = run("SELECT standing FROM standings WHERE endpoint = :endpoint AND variant = :variant", **of)
        standing = _read(variant, kept[0][0] if kept else None)
        standing.take([row for body in bodies for row in rows_of(body)], map(answered_of, bodies), promised)
        left = run("SELECT 1 FROM joined_batches WHERE endpoint = :endpoint AND variant = :variant LIMIT 1", **of)
        if not left:
            standing.judge(promised)
        now: float = run("SELECT extract(epoch FROM now())::float8")[0][0]
        run(
            "INSERT INTO standings (endpoint, variant, standing, told) VALUES (:endpoint, :variant, :standing, :told) "
            "ON CONFLICT (endpoint, variant) DO UPDATE SET standing = excluded.standing, told = excluded.told",
            standing=json.dumps(standing.as_dict()),
            told=json.dumps(told(standing, promised, now)),
            **of,
        )
        if promised is not None:
            levels = {
                gauge(one.name, variant=variant, segment=one.segment or ""): one.value
                for one in standing.gauges(promised)
            }
            tell(run, self.endpoint, levels, _SHOWN_S)
        return bool(left)

    def told(self, variant: str) -> dict[str, Any] | None:
        """What people are shown of a variant, see `monitoring.labels.told`; None when nothing is known of it."""
        found = self.database.run(
            f"read how {variant} stands",
            "SELECT told FROM standings WHERE endpoint = :endpoint AND variant = :variant",
            endpoint=self.endpoint,
            variant=variant,
        )
        return json.loads(found[0][0]) if found else None


def _read(variant: str, kept: str | None) -> Standing:
    """How a variant stands; it begins anew where nothing is kept, or in a form that is not known."""
    try:
        return Standing.from_dict(json.loads(kept)) if kept else Standing.new()
    except ValueError as error:
        log("standing not read", variant=variant, error=repr(error))
        return Standing.new()
