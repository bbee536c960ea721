from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving.packages import Server, served, write


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("package") / "model"
    digest = write(folder)
    with served(folder, digest) as running:
        yield running
