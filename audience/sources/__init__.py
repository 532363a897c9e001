"""Who may send and ask: sources, their keys, and how much of it in a day."""
