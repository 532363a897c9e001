"""Counts for whom a rule holds from columns in memory, which are kept up to the database.

What rules ask of customers and events lies here as arrays, a column once it was asked for. A count
is as exact as one by SQL, of a moment that it says; see docs/adr/0015.
"""
