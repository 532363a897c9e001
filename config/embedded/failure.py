"""Name the one way in which an embedded server lets its user down."""


class ServerError(RuntimeError):
    """An embedded server or program cannot run; the message says why and what to do."""
