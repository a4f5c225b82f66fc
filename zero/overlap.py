"""Search and evaluation at the same time: while the network answers one group of games, another searches."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from typing import Any

import numpy as np

Question = tuple[np.ndarray, np.ndarray]  # planes and legal actions, see `Search.collect`
Answer = tuple[np.ndarray, np.ndarray]  # logits and values
Player = Generator[Question, Answer, None]  # asks, searches on with the answer, asks again


class SameThread:
    """An executor that runs what it is given at once, in the thread of whoever submits it."""

    def submit(self, function: Callable[..., Any], *args: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future


def play_in_turns(players: Iterable[Player], evaluate: Callable[..., Answer], executor: Any) -> float:
    """Runs players to their ends, in turns; `executor` evaluates for one while the next goes on. Returns the seconds in
    which this thread waited for answers.

    The order in which players take their turns is fixed, so that it decides nothing who is fast. Raises what `evaluate`
    or a player does; the players that have not ended are closed.
    """
    waited = 0.0
    everybody = list(players)
    fresh, waiting = deque(everybody), deque()
    try:
        while fresh or waiting:
            if fresh:
                player, answer = fresh.popleft(), None
            else:
                player, future = waiting.popleft()
                began = time.perf_counter()
                answer = future.result()
                waited += time.perf_counter() - began
            try:
                question = player.send(answer)
            except StopIteration:
                continue
            waiting.append((player, executor.submit(evaluate, *question)))
        return waited
    finally:
        for _, future in waiting:
            future.exception()  # the evaluation under way reads a player's arrays
        for player in everybody:
            player.close()
