"""Tic-tac-toe: three in a row on a board of 3x3. Two bitboards; bit = 3 * row + column."""
from libc.stdint cimport uint64_t

from mcts_ext.rng cimport mix64, random_below
from mcts_ext.state cimport Game, Rules

from mcts_ext.symmetry import board_symmetries

cdef enum:
    FULL = 0x1FF


cdef struct Board:
    unsigned short mover, other          # stones of the player to move, and of the one who moved last
    unsigned short won, _pad             # won: the one who moved last has three in a row


cdef unsigned short[8] LINES = [0o007, 0o070, 0o700, 0o111, 0o222, 0o444, 0o421, 0o124]


cdef inline bint has_line(unsigned short stones) noexcept nogil:
    cdef int i
    for i in range(8):
        if stones & LINES[i] == LINES[i]:
            return True
    return False


cdef void init(const Rules* rules, void* s) noexcept nogil:
    cdef Board* board = <Board*>s
    board.mover = board.other = board.won = board._pad = 0


cdef void play(const Rules* rules, void* s, int action) noexcept nogil:
    cdef Board* board = <Board*>s
    cdef unsigned short moved = <unsigned short>(board.mover | (1 << action))
    board.mover = board.other
    board.other = moved
    board.won = has_line(moved)


cdef bint terminal(const Rules* rules, const void* s) noexcept nogil:
    cdef const Board* board = <const Board*>s
    return board.won or (board.mover | board.other) == FULL


cdef float outcome(const Rules* rules, const void* s) noexcept nogil:
    return -1.0 if (<const Board*>s).won else 0.0


cdef int legal(const Rules* rules, const void* s, unsigned char* mask) noexcept nogil:
    cdef const Board* board = <const Board*>s
    cdef int empty = ~(board.mover | board.other) & FULL
    cdef int point, count = 0
    for point in range(9):
        mask[point] = (empty >> point) & 1
        count += mask[point]
    return count


cdef int to_move(const Rules* rules, const void* s) noexcept nogil:
    cdef const Board* board = <const Board*>s
    cdef int occupied = board.mover | board.other
    cdef int count = 0
    while occupied:
        occupied &= occupied - 1
        count += 1
    return count & 1


cdef uint64_t hash_(const Rules* rules, const void* s) noexcept nogil:
    cdef const Board* board = <const Board*>s
    return mix64(1 + (<uint64_t>board.mover | <uint64_t>board.other << 16))


cdef void encode(const Rules* rules, const void* s, float* planes) noexcept nogil:
    cdef const Board* board = <const Board*>s
    cdef int point
    for point in range(9):
        planes[3 * point] = (board.mover >> point) & 1
        planes[3 * point + 1] = (board.other >> point) & 1
        planes[3 * point + 2] = 1        # on the board: tells an empty point from the padding of a convolution


cdef float playout(const Rules* rules, void* s, uint64_t* rng) noexcept nogil:
    cdef Board* board = <Board*>s
    cdef float sign = 1.0
    cdef int empty, nth
    while not terminal(rules, s):
        empty = ~(board.mover | board.other) & FULL
        for nth in range(random_below(rng, popcount(empty))):
            empty &= empty - 1
        play(rules, s, count_trailing_zeros(empty))
        sign = -sign
    return sign * outcome(rules, s)


cdef void stones(const Rules* rules, const void* s, signed char* points) noexcept nogil:
    cdef const Board* board = <const Board*>s
    cdef bint second = to_move(rules, s)
    cdef int first_stones = board.other if second else board.mover
    cdef int second_stones = board.mover if second else board.other
    cdef int point
    for point in range(9):
        points[point] = ((first_stones >> point) & 1) + 2 * ((second_stones >> point) & 1)


cdef extern from *:
    int popcount "__builtin_popcount"(unsigned int) noexcept nogil
    int count_trailing_zeros "__builtin_ctz"(unsigned int) noexcept nogil


cdef class TicTacToe(Game):
    """Actions are the points 3 * row + column, written `a1`..`c3`: column letter, row counted from the top.

    Planes [3, 3, 3]: own stones, the opponent's stones, ones.
    """

    def __cinit__(self):
        self.name = "tictactoe"
        self.geometry = "cells"
        self.symmetries = board_symmetries(3, 3)
        self.rules = Rules(
            state_size=sizeof(Board), num_actions=9, rows=3, cols=3, planes=3, max_length=9, data=NULL,
            init=init, copy=NULL, destroy=NULL, play=play, legal=legal, to_move=to_move, terminal=terminal,
            outcome=outcome, hash=hash_, encode=encode, playout=playout, stones=stones,
            score=NULL, ownership=NULL)

    def action_to_text(self, int action):
        self.check_action(action)
        return "abc"[action % 3] + str(action // 3 + 1)

    def text_to_action(self, str text):
        move = text.strip().lower()
        if len(move) != 2 or move[0] not in "abc" or move[1] not in "123":
            raise ValueError(f"tictactoe: {text!r} is not a move; moves are a1 to c3")
        return 3 * (int(move[1]) - 1) + "abc".index(move[0])


def create(size: str) -> Game:
    """The factory of the registry: no sizes."""
    if size:
        raise ValueError(f"unknown game 'tictactoe{size}': tictactoe has no sizes (see gomoku for larger boards)")
    return TicTacToe()
