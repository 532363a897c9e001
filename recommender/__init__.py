"""What to show, and what will happen: policies, their decisions and their value."""
