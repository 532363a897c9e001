"""A long answer leaves while it is made."""

import asyncio
from collections.abc import Generator

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

from wire.downloads import LINES_TOGETHER, Pieces


def test_no_more_is_made_than_the_client_takes() -> None:
    made = 0

    def lines() -> Generator[str, None, None]:
        nonlocal made
        for number in range(3 * LINES_TOGETHER + 1):
            made += 1
            yield f"{number}\n"

    async def story() -> None:
        pieces = aiter(Pieces(lines()))
        assert made == 0
        first = await anext(pieces)
        assert first.count("\n") == made == LINES_TOGETHER
        rest = [piece async for piece in pieces]
        assert (first + "".join(rest)).split() == [str(n) for n in range(made)]
        assert len(rest) == 3

    asyncio.run(story())


def test_nothing_is_handed_out_of_nothing() -> None:
    async def story() -> None:
        assert [piece async for piece in Pieces(line for line in "")] == []

    asyncio.run(story())


def test_what_makes_the_lines_ends_with_the_answer() -> None:
    ended = False

    def lines() -> Generator[str, None, None]:
        nonlocal ended
        try:
            for number in range(3 * LINES_TOGETHER):
                yield f"{number}\n"
        finally:
            ended = True

    async def story() -> None:
        answer = StreamingHttpResponse(Pieces(lines()))
        taking = aiter(answer)
        await anext(taking)
        assert not ended
        await sync_to_async(answer.close)()
        assert ended

    asyncio.run(story())
