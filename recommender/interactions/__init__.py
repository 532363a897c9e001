"""What customers did with items, as rankers read it: histories, sessions, and splits of them."""
