"""Who followed a link of a message, or opened it: people, told from machines."""
