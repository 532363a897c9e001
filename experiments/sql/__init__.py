"""How columns become SQL: conditions on events, columns of people, whole statements."""
