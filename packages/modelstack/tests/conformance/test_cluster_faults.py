"""Every row that only a cluster has, played on a separate cluster, which is broken on the way; a test a row."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from modelstack.cli.local.cluster_image import built
from modelstack.cli.local.container import CONTROLLER
from tests.conformance.cluster_box import box
from tests.conformance.of_clusters import CLUSTERS
from tests.conformance.row import Row

SECONDS = 2400  # for all of them, on a busy machine


class Playing:
    def __init__(self, answers: Generator[str], log: Path) -> None:
        self._answers, self._log, self._ended = answers, log, dict[str, list[str]]()

    def of(self, name: str) -> list[str]:
        """Where a row did not end as it must, as soon as it has ended."""
        while name not in self._ended:
            line = next(self._answers, None)
            assert line is not None, f"{name} was not played:\n{self._log.read_text()[-3000:]}"
            answer = json.loads(line)
            self._ended[answer["name"]] = answer["found"]
        return self._ended[name]


@pytest.fixture(scope="module")
def playing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Playing]:
    asked = [item.callspec.params["row"].name for item in request.session.items if _plays(item)]
    log = tmp_path_factory.mktemp("cluster") / "log"
    built(CONTROLLER, print)  # in the box is no way out, to Debian and the package index
    with box() as made:
        process = made.start([sys.executable, "-m", "tests.conformance.cluster_player", *asked], log)
        assert process.stdout is not None
        try:
            yield Playing((line for line in process.stdout), log)
        finally:
            process.kill()
            process.wait()


def _plays(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    row = call and call.params.get("row")
    return isinstance(row, Row) and row.place is not None


@pytest.mark.e2e
@pytest.mark.faults
@pytest.mark.needs("cluster")
@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("row", CLUSTERS, ids=lambda row: row.name)
def test_a_fault_of_a_cluster_ends_as_the_table_says(row: Row, playing: Playing) -> None:
    found = playing.of(row.name)
    assert not found, "\n".join(found)
