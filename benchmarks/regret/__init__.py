"""Counts what learning costs: the reward lost against always showing the best offer."""
