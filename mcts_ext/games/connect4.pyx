"""Connect Four on a board of any size up to 64 bits: four in a row wins, stones drop to the bottom of a column.

Bitboards with a sentinel row (J. Tromp, "John's Connect Four Playground"): bit = column * (rows + 1) + height, height 0
at the bottom. The bit above a full column stays empty, so that no line wraps into the next column.
"""
from libc.stdint cimport uint64_t

from mcts_ext.rng cimport mix64, random_below
from mcts_ext.state cimport Game, Rules

from mcts_ext.symmetry import mirror_columns


cdef extern from *:
    int popcount64 "__builtin_popcountll"(uint64_t) noexcept nogil
    int count_trailing_zeros "__builtin_ctzll"(uint64_t) noexcept nogil


cdef struct Size:
    uint64_t bottom                      # the lowest bit of each column
    uint64_t cells                       # all bits of the board, without the sentinel row


cdef struct Board:
    uint64_t mover                       # stones of the player to move
    uint64_t occupied
    uint64_t won                         # 1: the one who moved last has four in a row


cdef inline bint has_line(uint64_t stones, int height) noexcept nogil:
    """height: bits of a column. Pairs of neighbours, then pairs of pairs, in each of the four directions."""
    cdef uint64_t pairs
    pairs = stones & (stones >> height)                  # along the row
    if pairs & (pairs >> 2 * height):
        return True
    pairs = stones & (stones >> (height - 1))            # diagonals
    if pairs & (pairs >> 2 * (height - 1)):
        return True
    pairs = stones & (stones >> (height + 1))
    if pairs & (pairs >> 2 * (height + 1)):
        return True
    pairs = stones & (stones >> 1)                       # up the column
    return (pairs & (pairs >> 2)) != 0


cdef inline void drop(Board* board, uint64_t bit, int height) noexcept nogil:
    cdef uint64_t moved = board.mover | bit
    board.mover ^= board.occupied                        # the other player's stones
    board.occupied |= bit
    board.won = has_line(moved, height)


cdef inline uint64_t landings(const Size* size, const Board* board) noexcept nogil:
    """The lowest empty cell of each column that is not full."""
    return (board.occupied + size.bottom) & size.cells


cdef void init(const Rules* rules, void* s) noexcept nogil:
    cdef Board* board = <Board*>s
    board.mover = board.occupied = board.won = 0


cdef void play(const Rules* rules, void* s, int action) noexcept nogil:
    cdef Board* board = <Board*>s
    cdef int height = rules.rows + 1
    cdef uint64_t column = ((<uint64_t>1 << rules.rows) - 1) << (action * height)
    drop(board, landings(<const Size*>rules.data, board) & column, height)


cdef bint terminal(const Rules* rules, const void* s) noexcept nogil:
    cdef const Board* board = <const Board*>s
    return board.won or board.occupied == (<const Size*>rules.data).cells


cdef float outcome(const Rules* rules, const void* s) noexcept nogil:
    return -1.0 if (<const Board*>s).won else 0.0


cdef int legal(const Rules* rules, const void* s, unsigned char* mask) noexcept nogil:
    cdef uint64_t tops = (<const Board*>s).occupied >> (rules.rows - 1)
    cdef int column, count = 0
    for column in range(rules.cols):
        mask[column] = ~(tops >> (column * (rules.rows + 1))) & 1
        count += mask[column]
    return count


cdef int to_move(const Rules* rules, const void* s) noexcept nogil:
    return popcount64((<const Board*>s).occupied) & 1


cdef uint64_t hash_(const Rules* rules, const void* s) noexcept nogil:
    cdef const Board* board = <const Board*>s
    # The mover's stones plus the filled heights give each position a number of its own.
    return mix64(board.mover + board.occupied + (<const Size*>rules.data).bottom)


cdef void encode(const Rules* rules, const void* s, float* planes) noexcept nogil:
    cdef const Board* board = <const Board*>s
    cdef uint64_t other = board.mover ^ board.occupied
    cdef float first = 1 - to_move(rules, s)
    cdef int row, column, bit
    for row in range(rules.rows):
        bit = rules.rows - 1 - row                       # row 0 is the top one
        for column in range(rules.cols):
            planes[0] = (board.mover >> bit) & 1
            planes[1] = (other >> bit) & 1
            planes[2] = 1                # on the board: tells an empty cell from the padding of a convolution
            planes[3] = first            # whose turn the last empty cells will be decides many endings
            planes += 4
            bit += rules.rows + 1


cdef float playout(const Rules* rules, void* s, uint64_t* rng) noexcept nogil:
    cdef Board* board = <Board*>s
    cdef const Size* size = <const Size*>rules.data
    cdef int height = rules.rows + 1
    cdef float sign = 1.0
    cdef uint64_t free
    cdef int nth
    while not board.won:
        free = landings(size, board)
        if not free:
            return 0.0
        for nth in range(random_below(rng, popcount64(free))):
            free &= free - 1
        drop(board, free & (~free + 1), height)
        sign = -sign
    return -sign


cdef void stones(const Rules* rules, const void* s, signed char* points) noexcept nogil:
    cdef const Board* board = <const Board*>s
    cdef uint64_t second = board.mover if to_move(rules, s) else board.mover ^ board.occupied
    cdef int row, column, bit
    for row in range(rules.rows):
        for column in range(rules.cols):
            bit = column * (rules.rows + 1) + rules.rows - 1 - row
            points[row * rules.cols + column] = ((board.occupied >> bit) & 1) + ((second >> bit) & 1)


cdef class ConnectFour(Game):
    """Actions are the columns, written `1`.. from the left. Planes [rows, cols, 4]: own stones, the opponent's, ones,
    and ones if the first player is to move."""
    cdef Size size

    def __cinit__(self, int rows=6, int cols=7):
        if rows < 1 or cols < 1 or cols * (rows + 1) > 64:
            raise ValueError(f"connect4: a board of {rows}x{cols} is too large: columns * (rows + 1) must be 1 to 64")
        self.name = "connect4" if (rows, cols) == (6, 7) else f"connect4-{rows}x{cols}"
        self.geometry = "drop"
        self.symmetries = mirror_columns(rows, cols)
        cdef int column
        for column in range(cols):
            self.size.bottom |= <uint64_t>1 << (column * (rows + 1))
        self.size.cells = self.size.bottom * ((<uint64_t>1 << rows) - 1)
        self.rules = Rules(
            state_size=sizeof(Board), num_actions=cols, rows=rows, cols=cols, planes=4, max_length=rows * cols,
            data=&self.size, init=init, copy=NULL, destroy=NULL, play=play, legal=legal, to_move=to_move,
            terminal=terminal, outcome=outcome, hash=hash_, encode=encode, playout=playout, stones=stones,
            score=NULL, ownership=NULL)

    def action_to_text(self, int action):
        self.check_action(action)
        return str(action + 1)

    def text_to_action(self, str text):
        move = text.strip()
        if not move.isascii() or not move.isdigit() or not 1 <= int(move) <= self.cols:
            raise ValueError(f"{self.name}: {text!r} is not a move; moves are the columns 1 to {self.cols}")
        return int(move) - 1

    def draw(self, state):
        rows = [" ".join(".XO"[stone] for stone in row) for row in state.stones()]
        return "\n".join([*rows, " ".join(str((column + 1) % 10) for column in range(self.cols))])


def create(size: str) -> Game:
    """The factory of the registry: `connect4` is 6 rows of 7; `connect4-7x8` has 7 rows and 8 columns."""
    if not size:
        return ConnectFour()
    rows, times, cols = size.removeprefix("-").partition("x")
    if not (size.startswith("-") and times and rows.isdigit() and cols.isdigit()):
        raise ValueError(f"unknown game 'connect4{size}': sizes are written connect4-ROWSxCOLUMNS")
    return ConnectFour(int(rows), int(cols))
