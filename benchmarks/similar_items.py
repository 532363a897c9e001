"""What pgvector's index is worth for similar products: beside numpy, and SQL without an index.

    .venv/bin/python -m benchmarks.similar_items [--products 100000]

Vectors of length 1 in groups, as towers make them of products, are put into the embedded server,
whose wheel has pgvector. Ten likes are asked for of some products: of numpy, which multiplies with
all and sorts the best; of SQL that reads the whole table; and of an HNSW index, whose answers are
held against the exact ones. Then everybody's likes at once, as a worker makes lists: of numpy in
blocks, and of the index as its time for one says. Wall time of one connection, medians.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections.abc import Callable

import numpy as np
import psycopg

from benchmarks.serving import services
from recommender.arrays import IntArray, ScoreArray

SIZE, GROUPS, SPREAD = 64, 2_000, 0.6
SHOWN, ASKED, AT_ONCE = 10, 100, 512


def make_vectors(n: int, rng: np.random.Generator) -> ScoreArray:
    """Draw vectors of length 1 around as many middles as there are groups."""
    middles = rng.normal(size=(GROUPS, SIZE)) / SIZE**0.5
    vectors = middles[rng.integers(GROUPS, size=n)] + rng.normal(size=(n, SIZE)) * (
        SPREAD / SIZE**0.5
    )
    scaled: ScoreArray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(
        np.float32
    )
    return scaled


def find_likes(vectors: ScoreArray, items: IntArray) -> IntArray:
    """Return the ten most alike of each item, itself left out, shape (n, 10)."""
    scores = vectors[items] @ vectors.T
    scores[np.arange(len(items)), items] = -np.inf
    top = np.argpartition(-scores, SHOWN - 1, axis=1)[:, :SHOWN]
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1)
    likes: IntArray = np.take_along_axis(top, order, axis=1)
    return likes


def ask_sql(connection: "psycopg.Connection[tuple[int]]", item: int) -> list[int]:
    """Ask the table for the ten most alike of an item."""
    rows = connection.execute(
        "SELECT id FROM likes WHERE id <> %(item)s ORDER BY vector <#> "
        "(SELECT vector FROM likes WHERE id = %(item)s) LIMIT %(most)s",
        {"item": item, "most": SHOWN},
    )
    return [row[0] for row in rows]


def milliseconds(run: Callable[[int], object], items: IntArray) -> float:
    """Return the median wall time of some questions."""
    times = []
    for item in items.tolist():
        begun = time.perf_counter()
        run(item)
        times.append(time.perf_counter() - begun)
    return 1000 * float(np.median(times))


def fill_table(connection: "psycopg.Connection[tuple[int]]", vectors: ScoreArray) -> None:
    """Store all vectors."""
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    connection.execute(f"CREATE TABLE likes (id integer PRIMARY KEY, vector vector({SIZE}))")
    with connection.cursor().copy("COPY likes (id, vector) FROM STDIN") as copy:
        for item, vector in enumerate(vectors.tolist()):
            copy.write_row((item, str(vector)))
    connection.execute("ANALYZE likes")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Similar products by pgvector and without.")
    parser.add_argument("--products", type=int, default=100_000)
    n = parser.parse_args().products
    rng = np.random.default_rng(0)
    vectors = make_vectors(n, rng)
    items = rng.choice(n, size=ASKED, replace=False)
    exact = find_likes(vectors, items)
    block = np.arange(AT_ONCE)
    print(f"{n:,} products, {SIZE} numbers each, {SHOWN} likes:")
    took = milliseconds(lambda item: find_likes(vectors, np.array([item])), items)
    print(f"  numpy, one product    {took:9.2f} ms")
    begun = time.perf_counter()
    find_likes(vectors, block)
    everybody = (time.perf_counter() - begun) / AT_ONCE * n
    print(f"  numpy, all products   {everybody:9.1f} s, by a block of {AT_ONCE}", flush=True)
    with (
        services() as environment,
        psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection,
    ):
        fill_table(connection, vectors)
        took = milliseconds(lambda item: ask_sql(connection, item), items)
        print(f"  SQL without an index  {took:9.2f} ms", flush=True)
        begun = time.perf_counter()
        connection.execute("CREATE INDEX ON likes USING hnsw (vector vector_ip_ops)")
        built = time.perf_counter() - begun
        took = milliseconds(lambda item: ask_sql(connection, item), items)
        found = [ask_sql(connection, item) for item in items.tolist()]
        right = np.mean([len(set(a) & set(b)) for a, b in zip(found, exact.tolist(), strict=True)])
        print(f"  HNSW, one product     {took:9.2f} ms, {right / SHOWN:.1%} of the exact ones")
        print(f"  HNSW, all products    {took * n / 1000 + built:9.1f} s, {built:.1f} to build it")


if __name__ == "__main__":
    main()
