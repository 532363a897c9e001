"""Measurements, each a ratio in one run; none is a test."""
