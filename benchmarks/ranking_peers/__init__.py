"""Times our rankers beside other people's on the same histories, one thread each."""
