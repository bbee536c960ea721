"""The model server. It is given a sealed package and imports no other package of the project."""
