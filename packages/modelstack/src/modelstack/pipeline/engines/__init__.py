"""Engines that run the declaration of `pipeline.steps`, each in its own way and with the same outcomes."""
