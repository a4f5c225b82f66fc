"""Gomoku on boards of m x n: k stones in a row win. Freestyle (k or more) or exact (just k), and the swap2 opening.

In swap2 the first player puts down three stones (black, white, black). The second then takes White and moves on, or
takes Black, or puts down two more (white, black) and leaves the choice of colour to the first (rules of the Gomoku
World Championships, https://www.renju.net/rules/).
"""
from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset

from mcts_ext.rng cimport mix64, random_below
from mcts_ext.state cimport Game, Rules

from mcts_ext.notation import draw_points, gtp_vertex, parse_gtp_vertex, parse_size
from mcts_ext.symmetry import board_symmetries

cdef enum:
    EMPTY = 0
    BLACK = 1
    WHITE = 2
    EDGE = 3
    MAX_SIDE = 25                        # the letters of GTP vertices
    MAX_CELLS = MAX_SIDE * MAX_SIDE
    MAX_POINTS = (MAX_SIDE + 2) * (MAX_SIDE + 1) + 1
    PLAIN = 0                            # stages of the opening; PLAIN: it is over, or there is none
    THREE_STONES = 1
    SECOND_CHOOSES = 2
    TWO_STONES = 3
    FIRST_CHOOSES = 4
    TAKE_BLACK = 0                       # actions after the points
    TAKE_WHITE = 1
    PUT_TWO = 2


cdef struct Settings:
    int line                             # stones in a row that win
    int stride, num_points, num_cells
    bint exact, swap2
    int point_of[MAX_CELLS]


cdef struct Board:
    uint64_t hash
    uint16_t placed                      # stones on the board; their colours alternate, black first
    uint8_t won                          # the last stone made a row
    uint8_t stage
    uint8_t black_player                 # who holds Black: 0 or 1
    uint8_t cells[MAX_POINTS]            # in rows of columns + 1, with an edge point between them


cdef void init(const Rules* rules, void* s) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef Board* b = <Board*>s
    cdef int action
    b.hash = 0
    b.placed = 0
    b.won = b.black_player = 0
    b.stage = THREE_STONES if g.swap2 else PLAIN
    memset(b.cells, EDGE, sizeof(b.cells))
    for action in range(g.num_cells):
        b.cells[g.point_of[action]] = EMPTY


cdef void copy(const Rules* rules, void* dst, const void* src) noexcept nogil:
    cdef const Board* b = <const Board*>src
    memcpy(dst, src, <const char*>b.cells - <const char*>b + (<const Settings*>rules.data).num_points)


cdef inline int run_length(const uint8_t* cells, int p, int step, int colour) noexcept nogil:
    """Stones of the colour on the line through p, which is one of them."""
    cdef int forward = p + step, backward = p - step
    while cells[forward] == colour:
        forward += step
    while cells[backward] == colour:
        backward -= step
    return (forward - backward) // step - 1


cdef inline bint wins(const Settings* g, const uint8_t* cells, int p, int colour) noexcept nogil:
    """Whether the stone on p makes a row that wins."""
    cdef int[4] steps = [1, g.stride - 1, g.stride, g.stride + 1]
    cdef int i, length
    for i in range(4):
        length = run_length(cells, p, steps[i], colour)
        if length == g.line or (length > g.line and not g.exact):
            return True
    return False


cdef inline int colour_to_place(const Board* b) noexcept nogil:
    return BLACK + (b.placed & 1)


cdef void choose(Board* b, int choice, int player) noexcept nogil:
    if choice == PUT_TWO:
        b.stage = TWO_STONES
    else:
        b.stage = PLAIN
        b.black_player = player if choice == TAKE_BLACK else 1 - player


cdef void play(const Rules* rules, void* s, int action) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef Board* b = <Board*>s
    cdef int p, colour = colour_to_place(b)
    if action >= g.num_cells:
        choose(b, action - g.num_cells, to_move(rules, s))
        return
    p = g.point_of[action]
    b.cells[p] = <uint8_t>colour
    b.hash ^= mix64((<uint64_t>colour << 32) + p)
    b.placed += 1
    b.won = wins(g, b.cells, p, colour)
    if b.stage == THREE_STONES and b.placed == 3:
        b.stage = SECOND_CHOOSES
    elif b.stage == TWO_STONES and b.placed == 5:
        b.stage = FIRST_CHOOSES


cdef int legal(const Rules* rules, const void* s, unsigned char* mask) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef const Board* b = <const Board*>s
    cdef bint choice = b.stage == SECOND_CHOOSES or b.stage == FIRST_CHOOSES
    cdef int action, count = 0
    for action in range(g.num_cells):
        mask[action] = not choice and b.cells[g.point_of[action]] == EMPTY
        count += mask[action]
    for action in range(g.num_cells, rules.num_actions):
        mask[action] = choice and (action - g.num_cells < PUT_TWO or b.stage == SECOND_CHOOSES)
        count += mask[action]
    return count


cdef int to_move(const Rules* rules, const void* s) noexcept nogil:
    cdef const Board* b = <const Board*>s
    if b.stage == PLAIN:
        return b.black_player ^ (b.placed & 1)
    return b.stage == SECOND_CHOOSES or b.stage == TWO_STONES


cdef bint terminal(const Rules* rules, const void* s) noexcept nogil:
    cdef const Board* b = <const Board*>s
    return b.won or b.placed == (<const Settings*>rules.data).num_cells


cdef float outcome(const Rules* rules, const void* s) noexcept nogil:
    return -1.0 if (<const Board*>s).won else 0.0


cdef uint64_t hash_(const Rules* rules, const void* s) noexcept nogil:
    cdef const Board* b = <const Board*>s
    return b.hash ^ mix64(1 + (b.placed & 1) + (<uint64_t>b.black_player << 1) + (<uint64_t>b.stage << 2))


cdef void encode(const Rules* rules, const void* s, float* planes) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef const Board* b = <const Board*>s
    cdef int own = BLACK if to_move(rules, s) == b.black_player else WHITE
    cdef int action, colour
    for action in range(g.num_cells):
        colour = b.cells[g.point_of[action]]
        planes[0] = colour == own
        planes[1] = colour == 3 - own
        planes[2] = 1                    # on the board: tells an empty point from the padding of a convolution
        if g.swap2:
            planes[3] = own == BLACK
            planes[4] = b.stage == THREE_STONES or b.stage == TWO_STONES
            planes[5] = b.stage == SECOND_CHOOSES or b.stage == FIRST_CHOOSES
            planes[6] = colour_to_place(b) == own
        planes += rules.planes


cdef float playout(const Rules* rules, void* s, uint64_t* rng) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef Board* b = <Board*>s
    cdef uint16_t[MAX_CELLS] empties
    cdef unsigned char[MAX_CELLS + 3] mask
    cdef int player = to_move(rules, s), action, index, p, colour, count = 0
    while b.stage != PLAIN:              # the few plies of an opening
        index = random_below(rng, legal(rules, s, mask))
        action = -1
        while index >= 0:
            action += 1
            index -= mask[action]
        play(rules, s, action)
    for action in range(g.num_cells):
        empties[count] = <uint16_t>g.point_of[action]
        count += b.cells[g.point_of[action]] == EMPTY
    while count > 0 and not b.won:
        index = random_below(rng, count)
        p = empties[index]
        count -= 1
        empties[index] = empties[count]
        colour = colour_to_place(b)
        b.cells[p] = <uint8_t>colour
        b.placed += 1
        b.won = wins(g, b.cells, p, colour)
    return outcome(rules, s) if to_move(rules, s) == player else -outcome(rules, s)


cdef void stones(const Rules* rules, const void* s, signed char* points) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef const Board* b = <const Board*>s
    cdef int action, colour
    for action in range(g.num_cells):
        colour = b.cells[g.point_of[action]]
        points[action] = <signed char>(3 - colour if b.black_player and colour else colour)


cdef class Gomoku(Game):
    """Actions are the points row * cols + col (row 0 on top), written as GTP vertices (`A1` lower left, no I); with
    swap2 the choices `black`, `white` and `two` follow.

    Planes [rows, cols, 3]: own stones, the opponent's, ones. With swap2 four more: ones if the mover holds Black (the
    first player does until the choice), puts down stones of the opening, chooses, and if his next stone is his own.
    """
    cdef Settings gomoku

    def __cinit__(self, int rows, int cols, *, int line=5, bint exact=False, bint swap2=False):
        self.name = f"gomoku{rows}" if rows == cols else f"gomoku{rows}x{cols}"
        if not (1 <= rows <= MAX_SIDE and 1 <= cols <= MAX_SIDE):
            raise ValueError(f"{self.name}: boards have 1 to {MAX_SIDE} rows and columns")
        if not 2 <= line <= max(rows, cols):
            raise ValueError(f"{self.name}: line = {line}: must be 2 to the longer side of the board")
        if swap2 and (line < 4 or rows * cols < 6):
            raise ValueError(f"{self.name}: swap2 needs lines of 4 or more and 6 points: it must not end the game")
        self.geometry = "points"
        self.symmetries = board_symmetries(rows, cols, extra_actions=3 if swap2 else 0)
        self.gomoku.line, self.gomoku.exact, self.gomoku.swap2 = line, exact, swap2
        self.gomoku.stride, self.gomoku.num_cells = cols + 1, rows * cols
        self.gomoku.num_points = (rows + 2) * (cols + 1) + 1
        cdef int action
        for action in range(rows * cols):
            self.gomoku.point_of[action] = (action // cols + 1) * (cols + 1) + action % cols + 1
        self.rules = Rules(
            state_size=sizeof(Board), num_actions=rows * cols + 3 * swap2, rows=rows, cols=cols,
            planes=7 if swap2 else 3, max_length=rows * cols + 2 * swap2,
            data=&self.gomoku, init=init, copy=copy, destroy=NULL, play=play, legal=legal, to_move=to_move,
            terminal=terminal, outcome=outcome, hash=hash_, encode=encode, playout=playout, stones=stones,
            score=NULL, ownership=NULL)

    def action_to_text(self, int action):
        self.check_action(action)
        if action >= self.gomoku.num_cells:
            return ("black", "white", "two")[action - self.gomoku.num_cells]
        return gtp_vertex(action, self.rows, self.cols)

    def text_to_action(self, str text):
        choices = ("black", "white", "two") if self.gomoku.swap2 else ()
        if text.strip().lower() in choices:
            return self.gomoku.num_cells + choices.index(text.strip().lower())
        action = parse_gtp_vertex(text, self.rows, self.cols)
        if action is None:
            last = gtp_vertex(self.cols - 1, self.rows, self.cols)
            raise ValueError(f"{self.name}: {text!r} is not a move; moves are "
                             + ", ".join([f"A1 to {last} (no column I)", *choices]))
        return action

    def draw(self, state):
        return draw_points(state.stones())


def create(size: str, *, line: int = 5, exact: bool = False, opening: str = "free") -> Game:
    """The factory of the registry: `gomoku15`, `gomoku9x11` (9 rows of 11). Settings:

    line: stones in a row that win. exact: longer rows do not win. opening: "free" or "swap2".
    """
    if opening not in ("free", "swap2"):
        raise ValueError(f"gomoku{size}: opening = {opening!r}: must be free or swap2")
    rows, cols = parse_size(size, "gomoku")
    return Gomoku(rows, cols, line=line, exact=exact, swap2=opening == "swap2")
