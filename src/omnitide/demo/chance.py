"""Chance that can be told again: a number for each seed and words, whoever asks, in whatever order."""

import math
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


def draw(seed: int, *words: object) -> float:
    """Between 0 (included) and 1, the same for the same seed and words."""
    text = "\x1f".join(map(str, (seed, *words)))
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest()) / (1 << 56)


def between(low: float, high: float, seed: int, *words: object) -> float:
    return low + (high - low) * draw(seed, *words)


def pick(options: Sequence[T], seed: int, *words: object) -> T:
    """One of them, each as likely."""
    return options[int(draw(seed, *words) * len(options))]


def weighted(options: Sequence[tuple[T, float]], seed: int, *words: object) -> T:
    """One of them, as likely as its weight says."""
    point = draw(seed, *words) * sum(weight for _, weight in options)
    for option, weight in options:
        point -= weight
        if point < 0:
            return option
    return options[-1][0]


def waiting(mean: float, seed: int, *words: object) -> float:
    """A time until something happens that happens once in `mean` on average, whatever happened before."""
    return -mean * math.log(1 - draw(seed, *words))
