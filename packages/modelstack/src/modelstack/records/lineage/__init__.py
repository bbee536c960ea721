"""The lineage of a package as one graph: from data and commit to every endpoint and person."""
