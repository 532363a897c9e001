"""Simulated customers, whose true behaviour is known."""
