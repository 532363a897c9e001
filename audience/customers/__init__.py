"""Finds customers by the names that clients know them by, and those who are one person."""
