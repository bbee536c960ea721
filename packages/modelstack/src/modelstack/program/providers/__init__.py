"""Dynamic resource providers, importable by Pulumi's provider process.

The state stores an imported provider by name, but one defined in the program as bytecode of one Python version.
"""
