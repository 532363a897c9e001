"""A long answer leaves while it is made."""

import asyncio
from collections.abc import Iterator

from wire.downloads import LINES_TOGETHER, in_pieces


def test_no_more_is_made_than_the_client_takes() -> None:
    made = 0

    def lines() -> Iterator[str]:
        nonlocal made
        for number in range(3 * LINES_TOGETHER + 1):
            made += 1
            yield f"{number}\n"

    async def story() -> None:
        pieces = in_pieces(lines())
        assert made == 0
        first = await anext(pieces)
        assert first.count("\n") == made == LINES_TOGETHER
        rest = [piece async for piece in pieces]
        assert (first + "".join(rest)).split() == [str(n) for n in range(made)]
        assert len(rest) == 3

    asyncio.run(story())


def test_nothing_is_handed_out_of_nothing() -> None:
    async def story() -> None:
        assert [piece async for piece in in_pieces([])] == []

    asyncio.run(story())
