"""Holds rankers against what customers did next, and searches their settings by that."""
