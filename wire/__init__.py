"""The hot paths' HTTP: a request in, an answer out, problems as RFC 9457; no Django."""
