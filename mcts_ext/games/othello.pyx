"""Othello on 6x6, 8x8 and 10x10: bracket the opponent's discs to turn them; most discs win.

Bitboards, bit = size * row + column, row 0 on top. A line of discs is followed by shifting the whole board, in all
places at once; the discs passed over must lie off the edge columns, or the shift would wrap into the next row.
"""
from libc.stdint cimport uint64_t

from mcts_ext.games.bits cimport Bits, count_bits, first_bit, high64, low64, random_bit, uint128_t
from mcts_ext.rng cimport mix64
from mcts_ext.state cimport Game, Rules

from mcts_ext.notation import cell_name, parse_cell
from mcts_ext.symmetry import board_symmetries


cdef struct Masks:
    uint128_t cells                      # all of the board
    uint128_t inner                      # without the first and the last column


cdef struct Board:
    uint128_t mover, other               # discs of the player to move, and of the opponent
    uint128_t moves                      # where the mover may play; none: he passes, or the game is over
    int to_move
    int over
    uint64_t padding


cdef inline Bits shifted(Bits bits, int by) noexcept nogil:
    return bits << by if by > 0 else bits >> -by


cdef inline Bits moves_along(Bits mover, Bits passable, int by, int size) noexcept nogil:
    """Cells just behind an unbroken line of passable discs that starts beside a disc of the mover."""
    cdef Bits line = shifted[Bits](mover, by) & passable
    cdef int i
    for i in range(size - 3):
        line |= shifted[Bits](line, by) & passable
    return shifted[Bits](line, by)


cdef inline Bits find_moves(Bits mover, Bits other, const Masks* masks, int size) noexcept nogil:
    cdef Bits inner = other & <Bits>masks.inner
    cdef Bits found = moves_along[Bits](mover, other, size, size) | moves_along[Bits](mover, other, -size, size)
    found |= moves_along[Bits](mover, inner, 1, size) | moves_along[Bits](mover, inner, -1, size)
    found |= moves_along[Bits](mover, inner, size + 1, size) | moves_along[Bits](mover, inner, -size - 1, size)
    found |= moves_along[Bits](mover, inner, size - 1, size) | moves_along[Bits](mover, inner, 1 - size, size)
    return found & ~(mover | other) & <Bits>masks.cells


cdef inline Bits turned_along(Bits disc, Bits mover, Bits passable, int by) noexcept nogil:
    """The line of passable discs from `disc` on, if a disc of the mover ends it."""
    cdef Bits line = 0
    cdef Bits next_disc = shifted[Bits](disc, by)
    while next_disc & passable:
        line |= next_disc
        next_disc = shifted[Bits](next_disc, by)
    return line if next_disc & mover else 0


cdef inline Bits find_turned(Bits disc, Bits mover, Bits other, const Masks* masks, int size) noexcept nogil:
    """The opponent's discs that `disc` turns."""
    cdef Bits inner = other & <Bits>masks.inner
    cdef Bits turned = turned_along[Bits](disc, mover, other, size) | turned_along[Bits](disc, mover, other, -size)
    turned |= turned_along[Bits](disc, mover, inner, 1) | turned_along[Bits](disc, mover, inner, -1)
    turned |= turned_along[Bits](disc, mover, inner, size + 1) | turned_along[Bits](disc, mover, inner, -size - 1)
    turned |= turned_along[Bits](disc, mover, inner, size - 1) | turned_along[Bits](disc, mover, inner, 1 - size)
    return turned


cdef inline void play_as(Bits kind, const Rules* rules, Board* board, int action) noexcept nogil:
    cdef const Masks* masks = <const Masks*>rules.data
    cdef Bits mover = <Bits>board.mover, other = <Bits>board.other, disc, turned
    if action < rules.rows * rules.rows:
        disc = (<Bits>1) << action
        turned = find_turned[Bits](disc, mover, other, masks, rules.rows)
        mover |= disc | turned
        other &= ~turned
    board.mover = other
    board.other = mover
    board.to_move ^= 1
    board.moves = find_moves[Bits](other, mover, masks, rules.rows)
    board.over = not board.moves and not find_moves[Bits](mover, other, masks, rules.rows)


cdef inline float playout_as(Bits kind, const Rules* rules, Board* board, uint64_t* rng) noexcept nogil:
    cdef int size = rules.rows, player = board.to_move
    while not board.over:
        play_as[Bits](kind, rules, board,
                      random_bit[Bits](<Bits>board.moves, rng) if board.moves else size * size)
    return outcome(rules, board) if board.to_move == player else -outcome(rules, board)


cdef void init(const Rules* rules, void* s) noexcept nogil:
    cdef Board* board = <Board*>s
    cdef int size = rules.rows
    cdef int centre = (size // 2 - 1) * size + size // 2 - 1     # upper left of the four discs in the middle
    board.mover = ((<uint128_t>1) << (centre + 1)) | ((<uint128_t>1) << (centre + size))
    board.other = ((<uint128_t>1) << centre) | ((<uint128_t>1) << (centre + size + 1))
    board.moves = find_moves[uint128_t](board.mover, board.other, <const Masks*>rules.data, size)
    board.to_move = board.over = 0
    board.padding = 0


cdef void play(const Rules* rules, void* s, int action) noexcept nogil:
    if rules.rows <= 8:
        play_as[uint64_t](0, rules, <Board*>s, action)
    else:
        play_as[uint128_t](0, rules, <Board*>s, action)


cdef float playout(const Rules* rules, void* s, uint64_t* rng) noexcept nogil:
    if rules.rows <= 8:
        return playout_as[uint64_t](0, rules, <Board*>s, rng)
    return playout_as[uint128_t](0, rules, <Board*>s, rng)


cdef int legal(const Rules* rules, const void* s, unsigned char* mask) noexcept nogil:
    cdef uint128_t moves = (<const Board*>s).moves
    cdef int cells = rules.rows * rules.rows, cell
    for cell in range(cells):
        mask[cell] = (moves >> cell) & 1
    mask[cells] = moves == 0
    return count_bits[uint128_t](moves) if moves else 1


cdef int to_move(const Rules* rules, const void* s) noexcept nogil:
    return (<const Board*>s).to_move


cdef bint terminal(const Rules* rules, const void* s) noexcept nogil:
    return (<const Board*>s).over


cdef float score(const Rules* rules, const void* s) noexcept nogil:
    """Discs of the player to move less the opponent's."""
    cdef const Board* board = <const Board*>s
    return count_bits[uint128_t](board.mover) - count_bits[uint128_t](board.other)


cdef float outcome(const Rules* rules, const void* s) noexcept nogil:
    cdef float margin = score(rules, s)
    return (margin > 0) - (margin < 0)


cdef uint64_t hash_(const Rules* rules, const void* s) noexcept nogil:
    cdef const Board* board = <const Board*>s
    cdef uint64_t key = mix64(low64(board.mover) + 1 + board.to_move)
    key = mix64(key ^ low64(board.other))
    if rules.rows > 8:
        key = mix64(key ^ high64(board.mover))
        key = mix64(key ^ high64(board.other))
    return key


cdef void encode(const Rules* rules, const void* s, float* planes) noexcept nogil:
    cdef const Board* board = <const Board*>s
    cdef int cell
    for cell in range(rules.rows * rules.rows):
        planes[0] = (board.mover >> cell) & 1
        planes[1] = (board.other >> cell) & 1
        planes[2] = 1                    # on the board: tells an empty cell from the padding of a convolution
        planes += 3


cdef void stones(const Rules* rules, const void* s, signed char* points) noexcept nogil:
    cdef const Board* board = <const Board*>s
    cdef uint128_t first = board.other if board.to_move else board.mover
    cdef uint128_t second = board.mover if board.to_move else board.other
    cdef int cell
    for cell in range(rules.rows * rules.rows):
        points[cell] = ((first >> cell) & 1) + 2 * ((second >> cell) & 1)


cdef class Othello(Game):
    """Actions are the cells size * row + column, written `a1`.. with row 1 on top, then `pass`, legal only when forced.

    Planes [size, size, 3]: own discs, the opponent's discs, ones.
    """
    cdef Masks masks

    def __cinit__(self, int size=8):
        if size not in (6, 8, 10):
            raise ValueError(f"othello{size}: the size must be 6, 8 or 10")
        self.name = f"othello{size}"
        self.geometry = "cells"
        self.symmetries = board_symmetries(size, size, extra_actions=1)
        cdef int cell
        for cell in range(size * size):
            self.masks.cells |= (<uint128_t>1) << cell
            if 0 < cell % size < size - 1:
                self.masks.inner |= (<uint128_t>1) << cell
        self.rules = Rules(
            state_size=sizeof(Board), num_actions=size * size + 1, rows=size, cols=size, planes=3,
            max_length=2 * (size * size - 4),        # a pass follows each of the discs at worst
            data=&self.masks, init=init, copy=NULL, destroy=NULL, play=play, legal=legal, to_move=to_move,
            terminal=terminal, outcome=outcome, hash=hash_, encode=encode, playout=playout, stones=stones,
            score=score, ownership=stones)

    def action_to_text(self, int action):
        self.check_action(action)
        return "pass" if action == self.num_actions - 1 else cell_name(action, self.cols)

    def text_to_action(self, str text):
        cdef object cell = parse_cell(text, self.rows, self.cols)
        if text.strip().lower() == "pass":
            cell = self.num_actions - 1
        if cell is None:
            raise ValueError(f"{self.name}: {text!r} is not a move; moves are a1 to "
                             f"{cell_name(self.rows * self.cols - 1, self.cols)}, and pass where no other is legal")
        return cell


def create(size: str) -> Game:
    """The factory of the registry: `othello6`, `othello8`, `othello10`."""
    if size not in ("6", "8", "10"):
        raise ValueError(f"unknown game 'othello{size}': there are othello6, othello8 and othello10")
    return Othello(int(size))
