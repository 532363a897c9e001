"""Who? Sources and their keys, customers and their identities, and what they did."""
