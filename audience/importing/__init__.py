"""Brings in customers and events from files, each once, whatever the intake knows already."""
