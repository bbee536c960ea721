"""The Pulumi program; `__main__.py` is its entry point."""
