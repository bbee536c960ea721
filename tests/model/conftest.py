"""One small sealed model for the tests of the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import archive
from pipeline.build import SealedPackage


@pytest.fixture
def unpacked(sealed: SealedPackage, tmp_path: Path) -> Path:
    """Its archive, unpacked into a folder of the test's own."""
    folder = tmp_path / "model"
    archive.unpack(sealed.path, folder)
    return folder
