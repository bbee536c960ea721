"""Engines that run the declaration of `modelstack.pipeline.steps`, each in its own way and with the same outcomes."""
