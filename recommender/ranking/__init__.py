"""Train rankers on a site's own events, admit the better ones, and serve their lists."""
