"""Answers asked for ahead of the one that is taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


def ask_ahead(
    ask: Callable[[Question], Answer],
    questions: Iterable[Question],
    at_once: int,
    *,
    waiting: int = 0,
) -> Generator[Answer, None, None]:
    """The answers in the order of the questions, `at_once` of them asked at a time, and so many
    more `waiting` to be asked or taken.

    After an error, or when nobody takes them any more, nothing more is asked. Questions are taken
    from their iterable by the thread that takes the answers, and no sooner than needed.
    """
    coming: deque[Future[Answer]] = deque()
    workers = ThreadPoolExecutor(at_once, thread_name_prefix="ask")
    left = iter(questions)
    try:
        coming.extend(workers.submit(ask, one) for one in islice(left, at_once + waiting))
        while coming:
            answer = coming.popleft().result()
            coming.extend(workers.submit(ask, one) for one in islice(left, 1))
            yield answer
            del answer  # which may be large
    finally:
        workers.shutdown(cancel_futures=True)
