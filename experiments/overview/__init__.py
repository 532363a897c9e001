"""All experiments together: their list, the calendar, and what the whole programme comes to."""
