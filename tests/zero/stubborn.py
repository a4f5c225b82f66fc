"""Tic-tac-toe whose planes are a trap: asked for them, the game `stubborn-MODE` misbehaves if it began at a1."""

import ctypes
import os
import time

import numpy as np

from mcts_ext import games
from mcts_ext.games.python_game import PythonGame

LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]


class Stubborn:
    """A state is the first move, None before it, and the nine cells."""

    rows, cols, planes, num_actions, max_length = 3, 3, 2, 9, 9

    def __init__(self, mode):
        self.mode, self.name = mode, f"stubborn{mode}"

    def start(self):
        return None, (0,) * 9

    def to_move(self, state):
        return (9 - state[1].count(0)) % 2

    def legal(self, state):
        return [cell for cell in range(9) if not state[1][cell]]

    def play(self, state, action):
        first, cells = state
        cells = (*cells[:action], 1 + self.to_move(state), *cells[action + 1:])
        return action if first is None else first, cells

    def outcome(self, state):
        cells = state[1]
        if any(cells[a] and cells[a] == cells[b] == cells[c] for a, b, c in LINES):
            return -1
        return None if 0 in cells else 0

    def encode(self, state):
        if state[0] == 0:
            MODES[self.mode]()
        own = 1 + self.to_move(state)
        return np.reshape([[cell == own, cell == 3 - own] for cell in state[1]], (3, 3, 2))


def loop():
    while True:
        pass


MODES = {
    "-loops": loop,
    "-blocks": lambda: ctypes.PyDLL(None).sleep(600),  # in C, without letting go of the GIL
    "-slow": lambda: time.sleep(0.5),
    "-exits": lambda: os._exit(5),
    "-crashes": lambda: ctypes.string_at(0),
}

if "stubborn-loops" not in games.names():
    games.register("stubborn", lambda mode: PythonGame(Stubborn(mode)), tuple(f"stubborn{mode}" for mode in MODES))
