"""How what is scarce is divided: at a price, or among customers who are all known."""
