"""What a person types: the `modelstack` command and what `make` runs."""
