"""Whether every client gives the same customer the same arm as the server's own evaluation."""
