"""Trains torch models so that a kill loses nothing, by several processes where that is faster."""
