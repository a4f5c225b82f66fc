"""Hex on boards of m x n: the first player connects top and bottom, the second left and right; no draws.

Cells lie in rows of `stride` = columns + 1 with one edge cell between them; each row is shifted half a cell to the
right of the one above, so the six neighbours of p are p - stride, p - stride + 1, p - 1, p + 1, p + stride - 1 and
p + stride. Chains are kept in a union-find forest whose roots know which of the player's two sides they touch.
"""
from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset

from mcts_ext.rng cimport mix64, random_below
from mcts_ext.state cimport Game, Rules

from mcts_ext.notation import CELL_LETTERS, cell_name, parse_cell, parse_size
from mcts_ext.symmetry import board_symmetries

cdef enum:
    EMPTY = 0
    FIRST = 1
    SECOND = 2
    EDGE = 3
    MAX_SIDE = 26                        # the letters of the columns
    MAX_CELLS = MAX_SIDE * MAX_SIDE
    MAX_POINTS = (MAX_SIDE + 2) * (MAX_SIDE + 1) + 1
    LOW_SIDE = 1                         # top or left
    HIGH_SIDE = 2                        # bottom or right
    BOTH_SIDES = 3


cdef struct Settings:
    int stride, num_points, num_cells
    bint swap
    int point_of[MAX_CELLS]
    uint8_t sides[3][MAX_POINTS]         # which of a player's sides a cell lies on


cdef struct Chain:
    uint16_t parent                      # in the union-find forest; a root is its own
    uint8_t sides                        # of a root: the sides its cells touch
    uint8_t owner                        # of the cell


cdef struct Board:
    uint64_t hash
    uint16_t placed                      # stones on the board
    uint8_t mover                        # FIRST or SECOND
    uint8_t winner                       # 0 while the game goes on
    Chain cells[MAX_POINTS]


cdef void init(const Rules* rules, void* s) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef Board* b = <Board*>s
    cdef int action, p
    b.hash = 0
    b.placed = 0
    b.mover = FIRST
    b.winner = 0
    for p in range(MAX_POINTS):
        b.cells[p] = Chain(parent=<uint16_t>p, sides=0, owner=EDGE)
    for action in range(g.num_cells):
        b.cells[g.point_of[action]].owner = EMPTY


cdef void copy(const Rules* rules, void* dst, const void* src) noexcept nogil:
    cdef const Board* b = <const Board*>src
    cdef size_t head = <const char*>b.cells - <const char*>b
    memcpy(dst, src, head + (<const Settings*>rules.data).num_points * sizeof(Chain))


cdef inline int root_of(Board* b, int p) noexcept nogil:
    while b.cells[p].parent != p:
        b.cells[p].parent = b.cells[b.cells[p].parent].parent      # path halving
        p = b.cells[p].parent
    return p


cdef void put(const Settings* g, Board* b, int p, int player) noexcept nogil:
    """A stone on p, joined to its neighbours."""
    cdef int[6] neighbours = [p - g.stride, p - g.stride + 1, p - 1, p + 1, p + g.stride - 1, p + g.stride]
    cdef int i, root = p, other
    b.cells[p].owner = <uint8_t>player
    b.cells[p].sides = g.sides[player][p]
    for i in range(6):
        if b.cells[neighbours[i]].owner == player:
            other = root_of(b, neighbours[i])
            b.cells[other].sides |= b.cells[root].sides
            b.cells[root].parent = <uint16_t>other
            root = other
    if b.cells[root].sides == BOTH_SIDES:
        b.winner = <uint8_t>player
    b.hash ^= mix64((<uint64_t>player << 32) + p)
    b.placed += 1


cdef int swapped_cell(const Rules* rules, const Board* b) noexcept nogil:
    """The action that mirrors the only stone across the long diagonal."""
    cdef const Settings* g = <const Settings*>rules.data
    cdef int action = 0
    while b.cells[g.point_of[action]].owner == EMPTY:
        action += 1
    return (action % rules.cols) * rules.cols + action // rules.cols


cdef void play(const Rules* rules, void* s, int action) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef Board* b = <Board*>s
    if action == g.num_cells:
        action = swapped_cell(rules, b)
        init(rules, s)
        put(g, b, g.point_of[action], SECOND)
        return                           # it is the first player's turn again
    put(g, b, g.point_of[action], b.mover)
    b.mover = 3 - b.mover


cdef inline bint may_swap(const Settings* g, const Board* b) noexcept nogil:
    return g.swap and b.placed == 1 and b.mover == SECOND


cdef int legal(const Rules* rules, const void* s, unsigned char* mask) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef const Board* b = <const Board*>s
    cdef int action, count = 0
    for action in range(g.num_cells):
        mask[action] = b.cells[g.point_of[action]].owner == EMPTY
        count += mask[action]
    if g.swap:
        mask[g.num_cells] = may_swap(g, b)
        count += mask[g.num_cells]
    return count


cdef int to_move(const Rules* rules, const void* s) noexcept nogil:
    return (<const Board*>s).mover - FIRST


cdef bint terminal(const Rules* rules, const void* s) noexcept nogil:
    return (<const Board*>s).winner != 0


cdef float outcome(const Rules* rules, const void* s) noexcept nogil:
    cdef const Board* b = <const Board*>s
    return 1.0 if b.winner == b.mover else -1.0


cdef uint64_t hash_(const Rules* rules, const void* s) noexcept nogil:
    cdef const Board* b = <const Board*>s
    return b.hash ^ mix64(b.mover)


cdef void encode(const Rules* rules, const void* s, float* planes) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef const Board* b = <const Board*>s
    cdef int action, owner
    for action in range(g.num_cells):
        owner = b.cells[g.point_of[action]].owner
        planes[0] = owner == b.mover
        planes[1] = owner == 3 - b.mover
        planes[2] = b.mover == FIRST
        planes[3] = b.mover == SECOND
        planes += 4


cdef int random_legal(const Rules* rules, const void* s, uint64_t* rng) noexcept nogil:
    cdef unsigned char[MAX_CELLS + 1] mask
    cdef int nth = random_below(rng, legal(rules, s, mask)), action = -1
    while nth >= 0:
        action += 1
        nth -= mask[action]
    return action


cdef bint first_connects(const Settings* g, uint8_t* is_first) noexcept nogil:
    """Whether the first player's stones lead from the top to the bottom; clears those it reaches."""
    cdef int[6] steps = [g.stride - 1, g.stride, -1, 1, 1 - g.stride, -g.stride]     # downwards first
    cdef uint16_t[MAX_CELLS] todo
    cdef int start, count, cell, i
    for start in range(g.stride + 1, 2 * g.stride):
        if not is_first[start]:
            continue
        is_first[start] = 0
        todo[0] = <uint16_t>start
        count = 1
        while count:
            count -= 1
            cell = todo[count]
            if g.sides[FIRST][cell] & HIGH_SIDE:
                return True
            for i in range(5, -1, -1):
                if is_first[cell + steps[i]]:
                    is_first[cell + steps[i]] = 0
                    todo[count] = <uint16_t>(cell + steps[i])
                    count += 1
    return False


cdef float playout(const Rules* rules, void* s, uint64_t* rng) noexcept nogil:
    """Fills the board at random and looks once who is connected. Exact: when a side is connected the stones that follow
    cannot change it, so the result is distributed as in games that stop there. The chains are not kept on the way.
    """
    cdef const Settings* g = <const Settings*>rules.data
    cdef Board* b = <Board*>s
    cdef uint16_t[MAX_CELLS] empties
    cdef uint8_t[MAX_POINTS] is_first
    cdef int player = b.mover, action, p, i, index, count = 0
    while g.swap and b.placed < 2 and not b.winner:
        play(rules, s, random_legal(rules, s, rng))
    if not b.winner:
        memset(is_first, 0, g.num_points)
        for action in range(g.num_cells):
            p = g.point_of[action]
            is_first[p] = b.cells[p].owner == FIRST
            empties[count] = <uint16_t>p
            count += b.cells[p].owner == EMPTY
        for i in range((count + 1) // 2):              # the mover's share
            index = i + random_below(rng, count - i)
            p = empties[index]
            empties[index] = empties[i]
            empties[i] = <uint16_t>p
        for i in range(count):
            p = empties[i]
            b.cells[p].owner = b.mover if i < (count + 1) // 2 else 3 - b.mover
            is_first[p] = b.cells[p].owner == FIRST
        b.placed += count
        b.mover = 3 - b.mover if count & 1 else b.mover
        b.winner = FIRST if first_connects(g, is_first) else SECOND
    return 1.0 if b.winner == player else -1.0


cdef void stones(const Rules* rules, const void* s, signed char* points) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef int action
    for action in range(g.num_cells):
        points[action] = <signed char>(<const Board*>s).cells[g.point_of[action]].owner


cdef class Hex(Game):
    """Actions are the cells row * cols + col, written `a1`.. with rows downward, then `swap` where it is allowed: the
    second player's first move may turn the only stone into one of his own, mirrored across the long diagonal.

    Planes [rows, cols, 4]: own stones, the opponent's; ones if the mover is the first player (who connects top and
    bottom); ones if he is the second (left and right).
    """
    cdef Settings hex

    def __cinit__(self, int rows, int cols, *, bint swap=False):
        self.name = f"hex{rows}" if rows == cols else f"hex{rows}x{cols}"
        if not (2 <= rows <= MAX_SIDE and 2 <= cols <= MAX_SIDE):
            raise ValueError(f"{self.name}: boards have 2 to {MAX_SIDE} rows and columns")
        if swap and rows != cols:
            raise ValueError(f"{self.name}: swap mirrors a stone across the diagonal: it needs as many rows as columns")
        self.geometry = "hex"
        # Only half a turn leaves both the cells' neighbours and the players' sides as they are.
        self.symmetries = [board_symmetries(rows, cols, extra_actions=swap)[i] for i in (0, 3)]
        self.hex.stride, self.hex.num_cells, self.hex.swap = cols + 1, rows * cols, swap
        self.hex.num_points = (rows + 2) * (cols + 1) + 1
        cdef int row, col, point
        for row in range(rows):
            for col in range(cols):
                point = (row + 1) * (cols + 1) + col + 1
                self.hex.point_of[row * cols + col] = point
                self.hex.sides[FIRST][point] = LOW_SIDE * (row == 0) | HIGH_SIDE * (row == rows - 1)
                self.hex.sides[SECOND][point] = LOW_SIDE * (col == 0) | HIGH_SIDE * (col == cols - 1)
        self.rules = Rules(
            state_size=sizeof(Board), num_actions=rows * cols + swap, rows=rows, cols=cols, planes=4,
            max_length=rows * cols + swap,
            data=&self.hex, init=init, copy=copy, destroy=NULL, play=play, legal=legal, to_move=to_move,
            terminal=terminal, outcome=outcome, hash=hash_, encode=encode, playout=playout, stones=stones,
            score=NULL, ownership=NULL)

    def action_to_text(self, int action):
        self.check_action(action)
        return "swap" if action == self.hex.num_cells else cell_name(action, self.cols)

    def text_to_action(self, str text):
        action = parse_cell(text, self.rows, self.cols)
        if self.hex.swap and text.strip().lower() == "swap":
            action = self.hex.num_cells
        if action is None:
            last = cell_name(self.hex.num_cells - 1, self.cols)
            raise ValueError(f"{self.name}: {text!r} is not a move; moves are a1 to {last}"
                             + " and swap" * self.hex.swap)
        return action

    def draw(self, state):
        """Each row half a cell to the right of the one above."""
        rows = [" " * row + f"{row + 1:2d}  " + " ".join(".XO"[stone] for stone in stones)
                for row, stones in enumerate(state.stones())]
        return "\n".join(["   " + " ".join(CELL_LETTERS[:self.cols]), *rows])


def create(size: str, *, swap: bool = False) -> Game:
    """The factory of the registry: `hex11`, `hex5x7` (5 rows of 7).

    swap: the second player may take the first stone instead of his first move.
    """
    rows, cols = parse_size(size, "hex")
    return Hex(rows, cols, swap=swap)
