"""How a mail is written: its design, its parts, its links."""
