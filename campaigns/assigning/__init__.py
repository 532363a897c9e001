"""Deciding for whole audiences beforehand, and what others are given of it."""
