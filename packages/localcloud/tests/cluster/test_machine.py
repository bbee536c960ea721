"""What of Debian a cluster needs: all of it is installed by `up`, and people are told of each package before."""

from pathlib import Path

import pytest

from localcloud.cluster import machine

TOLD = Path(__file__).resolve().parents[2] / "docs" / "cluster.md"
IN_EVERY_DEBIAN = {"iproute2", "util-linux", "procps"}


@pytest.mark.parametrize("package", sorted({*machine.PACKAGES.values()} - IN_EVERY_DEBIAN))
def test_a_package_that_is_installed_is_named_in_the_docs(package: str) -> None:
    assert f"`{package}`" in TOLD.read_text()


def test_what_makes_a_first_image_is_there_before_one_is_made() -> None:
    assert "debootstrap" in machine.PACKAGES.values()
