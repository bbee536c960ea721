"""Plays rows on the cluster that KUBECONFIG names, and prints a line of JSON per row when it ends.

    python -m tests.conformance.cluster_player [ROW ...]    # {"name": ..., "found": [differences]}

It runs where the cluster's addresses are reachable, in its own box; logs go to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from typing import Any

from modelstack.cli.local.cluster_image import published
from modelstack.cli.local.container import CONTROLLER
from tests.conformance.cluster_site import Site
from tests.conformance.cluster_stage import SiteStage
from tests.conformance.of_clusters import CLUSTERS
from tests.conformance.row import Place, Row, play, prepare, wrong

AT_ONCE = 3
_HOUR = 3600.0


def main(wanted: list[str]) -> None:
    answers = sys.stdout
    with redirect_stdout(sys.stderr):
        for name, found in played([row for row in CLUSTERS if not wanted or row.name in wanted]):
            print(json.dumps({"name": name, "found": found}), file=answers, flush=True)


def played(rows: list[Row]) -> Iterable[tuple[str, list[str]]]:
    """The rows, each with what is not as it must be: first those that disturb no other, then the others one by one."""
    image = published(os.environ["LOCALCLUSTER_REGISTRY"], print, (CONTROLLER,))["controller"]
    sites = {row.place: _site(row.place or "shared", image) for row in rows}
    stages = {row.name: SiteStage(sites[row.place], row.name) for row in rows}

    def ready(row: Row) -> list[str]:
        prepare(row, stages[row.name])
        return []

    def ended(row: Row) -> list[str]:
        seen = play(row, stages[row.name])
        print(f"{row.name}: {len(seen.lost)} of {len(seen.lost) + len(seen.asked)} requests lost; {seen.state.verdict}")
        return wrong(row, seen)

    def whole(row: Row) -> list[str]:
        return ready(row) or ended(row)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(Site.make, sites.values()))
        quiet = {row.name: pool.submit(_tried, whole, row) for row in rows if not row.alone}
        others = {row.name: pool.submit(_tried, ready, row) for row in rows if row.alone}
        for name, one in quiet.items():
            yield name, one.result()
        for row in rows:
            if row.alone:
                yield row.name, others[row.name].result() or _tried(ended, row)


def _site(place: Place, image: str) -> Site:
    return Site(
        f"{place}-{uuid.uuid4().hex[:4]}",
        image,
        skew=_HOUR if place == "skewed" else 0.0,
        controllers=2 if place == "shared" else 1,
    )


def _tried(does: Callable[..., list[str]], *given: Any) -> list[str]:
    """What is not as it must be; that it could not be played is part of it."""
    try:
        return does(*given)
    except Exception as error:
        traceback.print_exc()
        return [f"it could not be played: {type(error).__name__}: {error}"]


if __name__ == "__main__":
    main(sys.argv[1:])
