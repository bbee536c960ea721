"""`python -m localcloud.genuine`: build the command."""

import sys
from pathlib import Path

from localcloud.genuine.build import build
from localcloud.setup.environments import Installer
from localcloud.setup.failures import SetupFailed
from localcloud.setup.places import Places

if __name__ == "__main__":
    places = Places.of(Path())
    try:
        build(places, Installer(places))
    except SetupFailed as error:
        sys.exit("\n  ".join([f"error: {error}", *error.advice]))
