"""PostgreSQL and Valkey from PyPI wheels, run by a small supervisor of our own."""
