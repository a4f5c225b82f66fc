"""Domineering, a game written in Python: players lay dominoes in turns, and whoever finds no room for one loses.

The first player's dominoes stand upright, the second's lie flat. This file and the `pyproject.toml` beside it are all
that a game needs: `pip install ./examples/domineering`, then `zero train`, `zero play`, ... know `domineering6`.
"""

import numpy as np

from mcts_ext.games.python_game import PythonGame


class Domineering:
    """A state is (player to move, cells under upright dominoes, cells under flat ones): tuples and frozensets, which
    are never changed in place. An action is a domino where it will lie; the upright ones come first."""

    def __init__(self, rows: int, cols: int):
        self.name = f"domineering{rows}" if rows == cols else f"domineering{rows}x{cols}"
        self.rows, self.cols, self.planes = rows, cols, 4
        cells = np.arange(rows * cols).reshape(rows, cols)
        self.upright, flat = dominoes(cells[:-1], cells[1:]), dominoes(cells[:, :-1], cells[:, 1:])
        self.dominoes = self.upright + flat
        self.num_actions = len(self.dominoes)
        self.max_length = rows * cols // 2
        self.symmetries = [self.symmetry(view) for view in (cells[:, ::-1], cells[::-1], cells[::-1, ::-1])]

    def start(self):
        return 0, frozenset(), frozenset()

    def to_move(self, state):
        return state[0]

    def legal(self, state):
        mover, covered = state[0], state[1] | state[2]
        first = mover * len(self.upright)
        own = self.dominoes[first:] if mover else self.upright
        return [action for action, domino in enumerate(own, first) if not domino & covered]

    def play(self, state, action):
        mover, upright, flat = state
        domino = self.dominoes[action]
        return (0, upright, flat | domino) if mover else (1, upright | domino, flat)

    def outcome(self, state):
        return None if self.legal(state) else -1         # the player to move has lost

    def encode(self, state):
        """Cells under own dominoes, under the opponent's; ones if the mover's stand upright, ones if they lie flat."""
        mover = state[0]
        planes = np.zeros((self.rows * self.cols, self.planes), np.float32)
        planes[list(state[1 + mover]), 0] = 1
        planes[list(state[2 - mover]), 1] = 1
        planes[:, 2 + mover] = 1
        return planes.reshape(self.rows, self.cols, self.planes)

    def action_to_text(self, action):
        """The two cells, as in `a1a2`: column letter, row counted from the top."""
        return "".join("abcdefghijklmnopqrstuvwxyz"[cell % self.cols] + str(cell // self.cols + 1)
                       for cell in sorted(self.dominoes[action]))

    def symmetry(self, view):
        """Where the board's cells are after a reflection, and where that takes each domino."""
        points = view.ravel()
        return [self.dominoes.index(frozenset(points[list(domino)].tolist())) for domino in self.dominoes], points


def dominoes(halves, others):
    return [frozenset(pair) for pair in zip(halves.ravel().tolist(), others.ravel().tolist(), strict=True)]


def create(size: str) -> PythonGame:
    """What the entry point names: makes the game from the rest of its name, `6` or `4x5` (or nothing: 6x6)."""
    rows, _, cols = (size or "6").partition("x")
    if not (rows.isdigit() and (cols or rows).isdigit() and 2 <= int(rows) <= 9 and 2 <= int(cols or rows) <= 9):
        raise ValueError(f"unknown game 'domineering{size}': write domineering6, or domineering4x5 for 4 rows of 5")
    return PythonGame(Domineering(int(rows), int(cols or rows)))
