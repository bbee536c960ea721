"""The genuine AWS provider for Terraform, whose resource code is the reference of the local cloud and its plugin.

`build` makes a command of the provider's code, `core` runs it, and `attributes` converts Pulumi's properties.

python -m localcloud.genuine    # builds the command into the user's cache, unless it is there
"""
