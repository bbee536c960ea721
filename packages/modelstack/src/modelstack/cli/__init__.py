"""The `modelstack` command, and the programs that `make` runs."""
