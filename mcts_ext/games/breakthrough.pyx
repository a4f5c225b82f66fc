"""Breakthrough (D. Troyka, 2000): reach the far row with one of your men, or take them all.

Men step straight ahead onto an empty cell, or diagonally ahead onto an empty or an opponent's one. The first player
starts at the bottom and moves up. Bitboards of up to 64 cells, bit = cols * row + column, row 0 on top.
"""
from libc.stdint cimport uint8_t, uint64_t

from mcts_ext.games.bits cimport lowest_bit, popcount64, random_bit
from mcts_ext.rng cimport mix64, random_below
from mcts_ext.state cimport Game, Rules

import numpy as np

from mcts_ext.notation import CELL_LETTERS, parse_size

cdef enum:
    MAX_ACTIONS = 2 * 3 * 64


cdef struct Settings:
    uint64_t start[2]                    # the men of each player
    uint64_t goal[2]                     # the row where each arrives
    uint64_t left, right                 # the first and the last column
    int actions_each                     # actions of the first player, then as many of the second
    uint8_t start_of[MAX_ACTIONS]        # by action: the cell it leaves
    uint8_t target_of[MAX_ACTIONS]       # and the cell it enters
    uint8_t straight[MAX_ACTIONS]


cdef struct Board:
    uint64_t men[2]
    uint64_t mover
    uint64_t over                        # the one who moved last has won


cdef void init(const Rules* rules, void* s) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef Board* b = <Board*>s
    b.men[0] = g.start[0]
    b.men[1] = g.start[1]
    b.mover = b.over = 0


cdef inline void step(const Settings* g, Board* b, uint64_t start, uint64_t target) noexcept nogil:
    b.men[b.mover] ^= start | target
    b.men[1 - b.mover] &= ~target
    b.over = target & g.goal[b.mover] or b.men[1 - b.mover] == 0
    b.mover ^= 1


cdef void play(const Rules* rules, void* s, int action) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    step(g, <Board*>s, <uint64_t>1 << g.start_of[action], <uint64_t>1 << g.target_of[action])


cdef int legal(const Rules* rules, const void* s, unsigned char* mask) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef const Board* b = <const Board*>s
    cdef uint64_t own = b.men[b.mover], open_ahead = ~(b.men[0] | b.men[1])
    cdef int action, count = 0, first = b.mover * g.actions_each
    for action in range(rules.num_actions):
        mask[action] = 0
    for action in range(first, first + g.actions_each):
        mask[action] = ((own >> g.start_of[action]) & ((open_ahead if g.straight[action] else ~own)
                                                       >> g.target_of[action]) & 1)
        count += mask[action]
    return count


cdef int to_move(const Rules* rules, const void* s) noexcept nogil:
    return (<const Board*>s).mover


cdef bint terminal(const Rules* rules, const void* s) noexcept nogil:
    return (<const Board*>s).over != 0


cdef float outcome(const Rules* rules, const void* s) noexcept nogil:
    return -1.0


cdef uint64_t hash_(const Rules* rules, const void* s) noexcept nogil:
    cdef const Board* b = <const Board*>s
    return mix64(mix64(b.men[0] + 1 + b.mover) ^ b.men[1])


cdef void encode(const Rules* rules, const void* s, float* planes) noexcept nogil:
    cdef const Board* b = <const Board*>s
    cdef int cell
    for cell in range(rules.rows * rules.cols):
        planes[0] = (b.men[b.mover] >> cell) & 1
        planes[1] = (b.men[1 - b.mover] >> cell) & 1
        planes[2] = b.mover == 0
        planes[3] = b.mover == 1
        planes += 4


cdef inline uint64_t ahead(uint64_t men, uint64_t mover, int by) noexcept nogil:
    """The men moved by a number of cells, up for the first player and down for the second."""
    return men >> by if mover == 0 else men << by


cdef float playout(const Rules* rules, void* s, uint64_t* rng) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef Board* b = <Board*>s
    cdef uint64_t player = b.mover, own, straight, up_left, up_right, target
    cdef int cols = rules.cols, narrow, wide, nth
    while not b.over:
        own = b.men[b.mover]
        # Towards the left is one cell less up the board, and one more down it.
        wide = cols + 1 if b.mover == 0 else cols - 1
        narrow = cols - 1 if b.mover == 0 else cols + 1
        straight = ahead(own, b.mover, cols) & ~(b.men[0] | b.men[1])
        up_left = ahead(own & ~g.left, b.mover, wide) & ~own
        up_right = ahead(own & ~g.right, b.mover, narrow) & ~own
        nth = random_below(rng, popcount64(straight) + popcount64(up_left) + popcount64(up_right))
        if nth < popcount64(straight):
            target = <uint64_t>1 << random_bit[uint64_t](straight, rng)
            step(g, b, ahead(target, 1 - b.mover, cols), target)
        elif nth < popcount64(straight) + popcount64(up_left):
            target = <uint64_t>1 << random_bit[uint64_t](up_left, rng)
            step(g, b, ahead(target, 1 - b.mover, wide), target)
        else:
            target = <uint64_t>1 << random_bit[uint64_t](up_right, rng)
            step(g, b, ahead(target, 1 - b.mover, narrow), target)
    return -1.0 if b.mover == player else 1.0


cdef void stones(const Rules* rules, const void* s, signed char* points) noexcept nogil:
    cdef const Board* b = <const Board*>s
    cdef int cell
    for cell in range(rules.rows * rules.cols):
        points[cell] = ((b.men[0] >> cell) & 1) + 2 * ((b.men[1] >> cell) & 1)


cdef class Breakthrough(Game):
    """Actions are the steps of the first player, then of the second, cell by cell from the top left: to the left,
    straight, to the right. Written as the cell left and the cell entered, named as in chess: `a2b3`.

    Planes [rows, cols, 4]: own men, the opponent's, ones if the mover is the first player, ones if the second.
    """
    cdef Settings men
    cdef dict actions_by_text
    cdef list texts

    def __cinit__(self, int rows, int cols):
        self.name = f"breakthrough{rows}" if rows == cols else f"breakthrough{rows}x{cols}"
        if rows < 5 or cols < 2 or rows * cols > 64:
            raise ValueError(f"{self.name}: boards have 5 rows or more, 2 columns or more, and at most 64 cells")
        self.geometry = "cells"
        cdef int cell
        for cell in range(rows * cols):
            self.men.start[0] |= <uint64_t>(cell >= (rows - 2) * cols) << cell
            self.men.start[1] |= <uint64_t>(cell < 2 * cols) << cell
            self.men.goal[0] |= <uint64_t>(cell < cols) << cell
            self.men.goal[1] |= <uint64_t>(cell >= (rows - 1) * cols) << cell
            self.men.left |= <uint64_t>(cell % cols == 0) << cell
            self.men.right |= <uint64_t>(cell % cols == cols - 1) << cell
        steps = list(_steps(rows, cols))
        for action, (start, target, straight) in enumerate(steps):
            self.men.start_of[action] = start
            self.men.target_of[action] = target
            self.men.straight[action] = straight
        self.men.actions_each = len(steps) // 2
        self.texts = [_name(start, rows, cols) + _name(target, rows, cols) for start, target, _ in steps]
        self.actions_by_text = {text: action for action, text in enumerate(self.texts)}
        self.symmetries = _symmetries(rows, cols, steps)
        self.rules = Rules(
            state_size=sizeof(Board), num_actions=len(steps), rows=rows, cols=cols, planes=4,
            # The men of a player have this many rows to go; the last step ends the game.
            max_length=2 * cols * (2 * rows - 3),
            data=&self.men, init=init, copy=NULL, destroy=NULL, play=play, legal=legal, to_move=to_move,
            terminal=terminal, outcome=outcome, hash=hash_, encode=encode, playout=playout, stones=stones,
            score=NULL, ownership=NULL)

    def action_to_text(self, int action):
        self.check_action(action)
        return self.texts[action]

    def text_to_action(self, str text):
        action = self.actions_by_text.get(text.strip().lower())
        if action is None:
            raise ValueError(f"{self.name}: {text!r} is not a move; moves are written as {self.texts[0]}, "
                             "the cell left and the cell entered")
        return action

    def draw(self, state):
        rows = [f"{self.rows - row:2d} " + " ".join(".XO"[man] for man in men)
                for row, men in enumerate(state.stones())]
        return "\n".join([*rows, "   " + " ".join(CELL_LETTERS[:self.cols])])


def _steps(int rows, int cols):
    """(cell left, cell entered, whether straight) of each action."""
    for down in (-1, 1):
        for cell in range(rows * cols):
            row, col = divmod(cell, cols)
            for right in (-1, 0, 1):
                if 0 <= row + down < rows and 0 <= col + right < cols:
                    yield cell, cell + down * cols + right, right == 0


def _name(int cell, int rows, int cols):
    return f"{CELL_LETTERS[cell % cols]}{rows - cell // cols}"


def _symmetries(int rows, int cols, list steps):
    """The identity and the mirror of left and right."""
    points = np.arange(rows * cols, dtype=np.int32)
    mirror = points.reshape(rows, cols)[:, ::-1].ravel()
    numbers = {step: action for action, step in enumerate(steps)}
    actions = [numbers[int(mirror[start]), int(mirror[target]), straight] for start, target, straight in steps]
    return [(np.arange(len(steps), dtype=np.int32), points), (np.array(actions, np.int32), mirror.copy())]


def create(size: str) -> Game:
    """The factory of the registry: `breakthrough8`, `breakthrough6x5` (6 rows of 5)."""
    return Breakthrough(*parse_size(size, "breakthrough"))
