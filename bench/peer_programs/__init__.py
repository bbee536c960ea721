"""Programs for the peers' environments: nothing of this repository is there."""
