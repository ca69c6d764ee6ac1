"""How long the shop window waits for personal picks: random vectors of a full catalogue, on cores that are busy or not.

python -m benchmarks.personal_picks [BUSY] [ANSWERS]

BUSY processes sort and add numbers meanwhile, which takes cores and memory's bandwidth from the answers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from multiprocessing import get_context

import numpy as np

from jobs.recommenders.personal import Met, PersonalPicks

ARTICLES, EVENTS = 105_542, 20
DIMENSIONS = (256, 384, 640)
_UNCOUNTED = 10


def shop(dimensions: int, rng: np.random.Generator) -> PersonalPicks:
    """A window in which every article can be picked."""
    vectors = rng.standard_normal((ARTICLES, dimensions), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"{number:010d}" for number in range(ARTICLES)]
    return PersonalPicks(date(2020, 9, 23), "random", ids, {one: n for n, one in enumerate(ids)}, ARTICLES, vectors)


def answer_times(window: PersonalPicks, answers: int, rng: np.random.Generator) -> np.ndarray:
    """Milliseconds of so many answers, after some that bring everything into memory."""
    taken = []
    for _ in range(_UNCOUNTED + answers):
        met = [Met(window.article_ids[place]) for place in rng.integers(0, ARTICLES, EVENTS)]
        begun = time.perf_counter()
        window.pick(met)
        taken.append(1_000 * (time.perf_counter() - begun))
    return np.array(taken[_UNCOUNTED:])


def _work() -> None:
    numbers = np.random.default_rng(0).random(30_000_000, dtype=np.float32)
    while True:
        np.sort(numbers[:3_000_000])
        numbers.sum()


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many other processes at work."""
    started = [get_context("spawn").Process(target=_work, daemon=True) for _ in range(processes)]
    for process in started:
        process.start()
    time.sleep(3 if started else 0)
    try:
        yield
    finally:
        for process in started:
            process.terminate()
            process.join()


def main(processes: int = 0, answers: int = 290) -> None:
    print("| dimensions | median | 99 of 100 within | slowest |\n|---|---|---|---|")
    with busy(processes):
        for dimensions in DIMENSIONS:
            rng = np.random.default_rng(0)
            found = answer_times(shop(dimensions, rng), answers, rng)
            middle, late = np.quantile(found, [0.5, 0.99])
            print(f"| {dimensions} | {middle:.0f} ms | {late:.0f} ms | {found.max():.0f} ms |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
