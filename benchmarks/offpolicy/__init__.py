"""Holds our off-policy estimates against those of the Open Bandit Pipeline, on its own data."""
