"""Flight delay: will a flight out of New York arrive more than 15 minutes late? See README.md for what a model has."""
