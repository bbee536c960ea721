"""Providers of our own resources, in modules that Pulumi's provider process can import.

A provider that is defined in the program itself goes into the state as bytecode of one Python version; one that is
imported goes there by its name.
"""
