"""Flight delay: will a flight out of New York arrive more than 15 minutes late?

This folder is what a team writes itself; README.md says what the rest of the repository asks of it.
"""
