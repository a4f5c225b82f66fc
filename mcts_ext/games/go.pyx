"""Go on boards of 2x2 to 19x19, rectangles too, by area scoring: who holds more points when both have passed wins.

Nothing is removed as dead: a stone on the board counts, so dead stones are taken by playing it out (Tromp-Taylor rules,
https://tromp.github.io/go.html).
"""
from libc.stdint cimport uint16_t, uint64_t
from libc.string cimport memcpy, memset

from mcts_ext.games.bits cimport lowest_bit
from mcts_ext.games.go_board cimport (BLACK, EDGE, EMPTY, MAX_POINTS, MAX_SIDE, STEPS, WHITE, WORDS, Board, Chain,
                                      Point, Settings, add_empty, add_stone, may_place, pass_turn, place, remember)
from mcts_ext.rng cimport mix64, random_below
from mcts_ext.state cimport Game, Rules, State

from dataclasses import dataclass

from mcts_ext.notation import draw_points, gtp_vertex, parse_gtp_vertex, parse_size
from mcts_ext.symmetry import board_symmetries


@dataclass(frozen=True)
class RuleSet:
    ko: str                              # "positional": no board may come back; "simple": no taking back at once
    suicide: bool                        # whether several stones may take their own last liberty
    compensation: bool                   # whether White gets a point for each handicap stone


RULE_SETS = {
    "chinese": RuleSet(ko="positional", suicide=False, compensation=True),
    "tromp-taylor": RuleSet(ko="positional", suicide=True, compensation=False),
}


cdef void clear(const Rules* rules, void* s) noexcept nogil:
    """An empty board, Black to move."""
    cdef const Settings* g = <const Settings*>rules.data
    cdef Board* b = <Board*>s
    cdef int p, action
    memset(b, 0, sizeof(Board))
    b.mover = BLACK
    for p in range(g.num_points):
        b.points[p].colour = EDGE
    for action in range(g.num_cells):
        p = g.point_of[action]
        b.points[p].colour = EMPTY
        add_empty(b, p)


cdef void init(const Rules* rules, void* s) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef Board* b = <Board*>s
    cdef int k
    clear(rules, s)
    for k in range(g.handicap):
        add_stone(g, b, g.handicap_points[k], BLACK)
    if g.handicap:
        b.mover = WHITE
        b.bonus = g.handicap if g.compensate else 0
        keep_past(b)
    remember(b)


cdef inline void keep_past(Board* b) noexcept nogil:
    memcpy(b.past[b.ply % STEPS], b.stones[BLACK], 2 * WORDS * sizeof(uint64_t))


cdef void copy(const Rules* rules, void* dst, const void* src) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef Board* to = <Board*>dst
    cdef const Board* b = <const Board*>src
    memcpy(to, b, <const char*>b.points - <const char*>b)
    memcpy(to.points, b.points, g.num_points * sizeof(Point))
    memcpy(to.chains, b.chains, g.num_points * sizeof(Chain))
    memcpy(to.empties, b.empties, b.num_empty * sizeof(uint16_t))
    memcpy(to.seen, b.seen, b.num_seen * sizeof(uint64_t))


cdef void play(const Rules* rules, void* s, int action) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef Board* b = <Board*>s
    if action == g.num_cells:
        pass_turn(b)
    else:
        place(g, b, g.point_of[action])
    keep_past(b)


cdef int legal(const Rules* rules, const void* s, unsigned char* mask) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef const Board* b = <const Board*>s
    cdef int i, count = 1
    memset(mask, 0, g.num_cells)
    mask[g.num_cells] = 1
    for i in range(b.num_empty):
        if may_place(g, b, b.empties[i]):
            mask[g.action_of[b.empties[i]]] = 1
            count += 1
    return count


cdef int to_move(const Rules* rules, const void* s) noexcept nogil:
    return (<const Board*>s).mover - BLACK


cdef bint terminal(const Rules* rules, const void* s) noexcept nogil:
    cdef const Board* b = <const Board*>s
    return b.passes >= 2 or b.ply >= rules.max_length


cdef int fill_region(const Settings* g, const Board* b, int start, uint16_t* region, char* visited,
                     int* borders) noexcept nogil:
    """Collects the empty points connected with `start`; their number. borders: bit c is set where colour c touches."""
    cdef int[4] steps = [-g.stride, -1, 1, g.stride]
    cdef int size = 1, i = 0, j, p
    region[0] = <uint16_t>start
    visited[start] = 1
    borders[0] = 0
    while i < size:
        for j in range(4):
            p = region[i] + steps[j]
            if b.points[p].colour != EMPTY:
                borders[0] |= 1 << b.points[p].colour
            elif not visited[p]:
                visited[p] = 1
                region[size] = <uint16_t>p
                size += 1
        i += 1
    return size


cdef int count_area(const Settings* g, const Board* b, signed char* owners) noexcept nogil:
    """Black's area less White's: stones, and empty regions that touch one colour only. owners [cells] may be NULL."""
    cdef char[MAX_POINTS] visited
    cdef uint16_t[MAX_SIDE * MAX_SIDE] region
    cdef int i, j, size, borders, owner, action, colour, area = 0
    memset(visited, 0, sizeof(visited))
    for action in range(g.num_cells):
        colour = b.points[g.point_of[action]].colour
        area += (colour == BLACK) - (colour == WHITE)
        if owners != NULL:
            owners[action] = <signed char>colour
    for i in range(b.num_empty):
        if visited[b.empties[i]]:
            continue
        size = fill_region(g, b, b.empties[i], region, visited, &borders)
        borders &= 1 << BLACK | 1 << WHITE
        owner = BLACK if borders == 1 << BLACK else WHITE if borders == 1 << WHITE else EMPTY
        area += size * ((owner == BLACK) - (owner == WHITE))
        if owners != NULL:
            for j in range(size):
                owners[g.action_of[region[j]]] = <signed char>owner
    return area


cdef float score(const Rules* rules, const void* s) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef const Board* b = <const Board*>s
    cdef float black = count_area(g, b, NULL) - g.komi - b.bonus
    return black if b.mover == BLACK else -black


cdef float outcome(const Rules* rules, const void* s) noexcept nogil:
    cdef float margin = score(rules, s)
    return (margin > 0) - (margin < 0)


cdef void ownership(const Rules* rules, const void* s, signed char* points) noexcept nogil:
    count_area(<const Settings*>rules.data, <const Board*>s, points)


cdef uint64_t hash_(const Rules* rules, const void* s) noexcept nogil:
    cdef const Board* b = <const Board*>s
    return b.hash ^ mix64(1 + (b.ko << 4 | (b.passes & 1) << 2 | b.mover))


cdef float playout(const Rules* rules, void* s, uint64_t* rng) noexcept nogil:
    """Each legal move is as likely, a pass too. `past`, which only the planes show, is not kept on the way."""
    cdef const Settings* g = <const Settings*>rules.data
    cdef Board* b = <Board*>s
    cdef int player = b.mover, index
    while b.passes < 2 and b.ply < g.max_length:
        index = random_below(rng, b.num_empty + 1)
        if index == b.num_empty:
            pass_turn(b)
        elif may_place(g, b, b.empties[index]):
            place(g, b, b.empties[index])
    keep_past(b)
    return outcome(rules, s) if b.mover == player else -outcome(rules, s)


cdef inline void mark(const Settings* g, const uint64_t* bits, float* planes, int num_planes) noexcept nogil:
    """Sets a plane to 1 at the points of a set."""
    cdef int word
    cdef uint64_t rest
    for word in range((g.num_points + 63) >> 6):
        rest = bits[word]
        while rest:
            planes[g.action_of[64 * word + lowest_bit(rest)] * num_planes] = 1
            rest &= rest - 1


cdef int count_liberties(const Settings* g, const Board* b, int chain, uint16_t* stamps, int stamp) noexcept nogil:
    """The different empty points beside a chain."""
    cdef int[4] steps = [-g.stride, -1, 1, g.stride]
    cdef int stone = chain, count = 0, i, p
    while True:
        for i in range(4):
            p = stone + steps[i]
            if b.points[p].colour == EMPTY and stamps[p] != stamp:
                stamps[p] = <uint16_t>stamp
                count += 1
        stone = b.points[stone].next
        if stone == chain:
            return count


cdef void mark_liberties(const Settings* g, const Board* b, float* planes, int num_planes) noexcept nogil:
    """Three planes: stones of chains with one, two, and more liberties."""
    cdef uint16_t[MAX_POINTS] stamps
    cdef int action, chain, stone, plane
    memset(stamps, 0, sizeof(stamps))
    for action in range(g.num_cells):
        chain = b.points[g.point_of[action]].head
        if chain != g.point_of[action] or chain == 0:
            continue                     # each chain once, at its head
        plane = min(count_liberties(g, b, chain, stamps, chain), 3) - 1
        stone = chain
        while True:
            planes[g.action_of[stone] * num_planes + plane] = 1
            stone = b.points[stone].next
            if stone == chain:
                break


cdef void encode(const Rules* rules, const void* s, float* planes) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef const Board* b = <const Board*>s
    cdef int step, cell, own = b.mover - BLACK
    cdef const uint64_t* stones
    memset(planes, 0, g.num_cells * rules.planes * sizeof(float))
    for step in range(min(g.history, b.ply + 1)):
        mark(g, b.past[(b.ply - step) % STEPS][own], planes + 2 * step, rules.planes)
        mark(g, b.past[(b.ply - step) % STEPS][1 - own], planes + 2 * step + 1, rules.planes)
    if g.liberty_planes:
        mark_liberties(g, b, planes + 2 * g.history, rules.planes)
    for cell in range(g.num_cells):
        planes[(cell + 1) * rules.planes - 2 + own] = 1


cdef void stones(const Rules* rules, const void* s, signed char* points) noexcept nogil:
    cdef const Settings* g = <const Settings*>rules.data
    cdef int action
    for action in range(g.num_cells):
        points[action] = <signed char>(<const Board*>s).points[g.point_of[action]].colour


cdef class Go(Game):
    """Actions are the points row * cols + col (row 0 on top), then the pass; written as GTP vertices and `pass`.

    Planes [rows, cols, 2 * history + 3 * liberties + 2]: own stones and the opponent's now, the same one ply ago, and
    so on (AlphaGo Zero, Silver et al. 2017, with history 8); with `liberties`, the stones of chains with one, two, and
    more liberties; ones if Black is to move; ones if White is.
    A game ends after two passes in a row, or after 2 * rows * cols plies, and is counted as it stands.
    """
    cdef Settings go

    def __cinit__(self, int rows, int cols, *, double komi=7.5, str rules="chinese", ko=None, suicide=None,
                  int handicap=0, int history=8, bint liberties=False):
        self.name = f"go{rows}" if rows == cols else f"go{rows}x{cols}"
        if not (2 <= rows <= MAX_SIDE and 2 <= cols <= MAX_SIDE):
            raise ValueError(f"{self.name}: boards have 2 to {MAX_SIDE} rows and columns")
        if rules not in RULE_SETS:
            raise ValueError(f"{self.name}: rules = {rules!r}: must be {' or '.join(RULE_SETS)}")
        if ko is not None and ko not in ("positional", "simple"):
            raise ValueError(f"{self.name}: ko = {ko!r}: must be positional or simple")
        if not 1 <= history <= STEPS:
            raise ValueError(f"{self.name}: history = {history}: must be 1 to {STEPS}")
        if not abs(komi) <= 361:
            raise ValueError(f"{self.name}: komi = {komi}: must be from -361 to 361")
        self.geometry = "points"
        self.symmetries = board_symmetries(rows, cols, extra_actions=1)
        rule_set = RULE_SETS[rules]
        self.go.superko = (ko or rule_set.ko) == "positional"
        self.go.suicide = rule_set.suicide if suicide is None else suicide
        self.go.compensate = rule_set.compensation
        self.go.komi = komi
        self.go.history = history
        self.go.liberty_planes = liberties
        self._lay_out(rows, cols)
        self.rules = Rules(
            state_size=sizeof(Board), num_actions=rows * cols + 1, rows=rows, cols=cols,
            planes=2 * history + 3 * liberties + 2, max_length=self.go.max_length,
            data=&self.go, init=init, copy=copy, destroy=NULL, play=play, legal=legal, to_move=to_move,
            terminal=terminal, outcome=outcome, hash=hash_, encode=encode, playout=playout, stones=stones,
            score=score, ownership=ownership)
        for k, action in enumerate(self.handicap_points(handicap) if handicap else ()):
            self.go.handicap_points[k] = self.go.point_of[action]
        self.go.handicap = handicap

    cdef void _lay_out(self, int rows, int cols):
        """The numbers of the points, and a key for each stone."""
        cdef int row, col, point, colour
        self.go.stride = cols + 1
        self.go.num_points = (rows + 2) * (cols + 1) + 1
        self.go.num_cells = rows * cols
        self.go.max_length = 2 * rows * cols
        for row in range(rows):
            for col in range(cols):
                point = (row + 1) * self.go.stride + col + 1
                self.go.point_of[row * cols + col] = point
                self.go.action_of[point] = row * cols + col
        for colour in (BLACK, WHITE):
            for point in range(self.go.num_points):
                self.go.keys[colour][point] = mix64((<uint64_t>colour << 32) + point + 1)

    @property
    def komi(self):
        """Points that White gets for moving second."""
        return self.go.komi

    def position(self, black=(), white=(), int to_move=0):
        """A `State` with these stones (actions) set up, as for handicap games and problems; to_move: 0 Black, 1 White.

        Raises ValueError for a point used twice, off the board, or a chain without liberties. With Chinese rules White
        gets a point for each of two or more handicap stones (Black's, where White has none).
        """
        cdef State state = State(self)
        cdef Board* b = <Board*>state.blob
        cdef int action, point, colour
        black, white = list(black), list(white)
        clear(&self.rules, b)
        for colour, actions in ((BLACK, black), (WHITE, white)):
            for action in actions:
                if not 0 <= action < self.go.num_cells or b.points[self.go.point_of[action]].colour != EMPTY:
                    raise ValueError(f"{self.name}: no stone can be set up at action {action}: off the board, or taken")
                add_stone(&self.go, b, self.go.point_of[action], colour)
        for action in range(self.go.num_cells):
            point = self.go.point_of[action]
            if b.points[point].head != 0 and b.chains[b.points[point].head].liberties == 0:
                raise ValueError(f"{self.name}: the stone on {self.action_to_text(action)} has no liberty")
        if self.go.compensate and len(black) >= 2 and not white:
            b.bonus = len(black)
        b.mover = WHITE if to_move else BLACK
        remember(b)
        keep_past(b)
        return state

    def handicap_points(self, int stones):
        """The actions of 2 to 9 fixed handicap stones, in the order of the GTP specification, version 2, section 4.1.1.

        Raises ValueError where the specification has none: on small, even or oblong boards.
        """
        size = self.rows
        most = 0 if self.rows != self.cols or size < 7 else 4 if size % 2 == 0 or size == 7 else 9
        if not 2 <= stones <= most:
            raise ValueError(f"{self.name}: {stones} fixed handicap stones: "
                             + (f"2 to {most} are possible" if most else "this board has no handicap points"))
        low, middle = (3 if size >= 12 else 2), size // 2
        high = size - 1 - low
        corners = [(high, low), (low, high), (low, low), (high, high)]   # (row from the top, column)
        sides = [(middle, low), (middle, high), (high, middle), (low, middle)]
        chosen = corners[:min(stones, 4)] + (sides[:2] if stones >= 6 else []) + (sides[2:] if stones >= 8 else [])
        if stones >= 5 and stones % 2:
            chosen.append((middle, middle))
        return [row * self.cols + col for row, col in chosen]

    def action_to_text(self, int action):
        self.check_action(action)
        return "pass" if action == self.go.num_cells else gtp_vertex(action, self.rows, self.cols)

    def text_to_action(self, str text):
        action = self.go.num_cells if text.strip().lower() == "pass" else parse_gtp_vertex(text, self.rows, self.cols)
        if action is None:
            last = gtp_vertex(self.cols - 1, self.rows, self.cols)
            raise ValueError(f"{self.name}: {text!r} is not a move; moves are A1 to {last} (no column I) and pass")
        return action

    def draw(self, State state):
        return draw_points(state.stones())


def create(size: str, *, komi: float = 7.5, rules: str = "chinese", ko: str | None = None, suicide: bool | None = None,
           handicap: int = 0, history: int = 8, liberties: bool = False) -> Game:
    """The factory of the registry: `go9`, `go19`, `go9x13` (9 rows of 13). Settings:

    komi: points for White. rules: "chinese" (no suicide; White gets a point for each handicap stone) or "tromp-taylor"
    (suicide of several stones is legal). ko: "positional" superko, or "simple" for play with programs that only forbid
    taking back at once. suicide: overrides the rules'. handicap: 2 to 9 fixed stones of Black, White begins. history,
    liberties: the planes, see `Go`.
    """
    rows, cols = parse_size(size, "go")
    return Go(rows, cols, komi=komi, rules=rules, ko=ko, suicide=suicide, handicap=handicap, history=history,
              liberties=liberties)
