"""A Go board: chains of stones with their liberties kept up to date, captures, ko and superko.

Points lie in rows of `stride` = columns + 1 with one edge point between them, so that the four neighbours of a point
are p - stride, p - 1, p + 1, p + stride and no bounds are tested. A chain is a circular list of stones; its record lies
at one of them, the head. Liberties are counted once per adjacent stone ("pseudo-liberties", as in libEGO by L. Lew):
the count is 0 exactly when the chain has none, and costs one addition per neighbour to maintain.

Positional superko (no board may come back) is tested by Zobrist hashes of 64 bits against the whole game. A stone of
colour c on point p can restore an earlier board only if a stone of that colour was taken from p since, so a flag on
the point tells the few moves that need the test. Nothing is approximated: random playouts use these same functions.
"""
from libc.stdint cimport uint8_t, uint16_t, uint64_t

cdef enum:
    EMPTY = 0
    BLACK = 1                            # the first player
    WHITE = 2
    EDGE = 3
    MAX_SIDE = 19
    MAX_POINTS = 421                     # (19 + 2) rows of 19 + 1, and one
    MAX_PLIES = 722                      # 2 * 19 * 19
    WORDS = 7                            # of a bit set of points
    STEPS = 8                            # past boards kept for the planes
    FILTER_WORDS = 32
    FILTER_MASK = 2047                   # bits of the filter less one


cdef struct Settings:
    int stride, num_points               # num_points: with the edge
    int num_cells, max_length
    int history, liberty_planes
    bint superko, suicide, compensate
    float komi
    int handicap                         # stones of Black at the start; then White is to move
    int handicap_points[9]
    int point_of[MAX_SIDE * MAX_SIDE]    # by action
    int action_of[MAX_POINTS]
    uint64_t keys[3][MAX_POINTS]         # Zobrist key of a colour on a point


cdef struct Point:
    uint8_t colour
    uint8_t taken                        # bit c: a stone of colour c was taken from here
    uint16_t head                        # of its chain; 0, a point of the edge, where no stone is
    uint16_t next                        # stone of its chain
    uint16_t slot                        # its index in `empties`


cdef struct Chain:
    uint64_t hash                        # of its stones
    uint16_t liberties                   # pseudo-liberties
    uint16_t size
    int padding


cdef struct Board:
    uint64_t hash                        # of the stones
    int mover, ply, passes, num_empty
    int ko                               # the point where the mover may not retake, 0: none
    int num_seen
    float bonus                          # points for White as handicap compensation
    uint64_t stones[3][WORDS]
    uint64_t past[STEPS][2][WORDS]       # the black and white stones after ply i, at i % STEPS
    uint64_t filter[FILTER_WORDS]        # bit h % 2048 is set if h is in `seen`
    Point points[MAX_POINTS]             # from here on, a board in use fills a part only
    Chain chains[MAX_POINTS]             # chains[0] is written, never read: it spares a test
    uint16_t empties[MAX_SIDE * MAX_SIDE]
    uint64_t seen[MAX_PLIES + 1]         # hashes of all boards of the game


cdef inline void toggle(uint64_t* bits, int p) noexcept nogil:
    bits[p >> 6] ^= <uint64_t>1 << (p & 63)


cdef inline void remember(Board* b) noexcept nogil:
    """The board as it is now may not come back."""
    b.filter[(b.hash & FILTER_MASK) >> 6] |= <uint64_t>1 << (b.hash & 63)
    b.seen[b.num_seen] = b.hash
    b.num_seen += 1


cdef inline bint seen_before(const Board* b, uint64_t hash) noexcept nogil:
    cdef int i
    if not (b.filter[(hash & FILTER_MASK) >> 6] >> (hash & 63)) & 1:
        return False
    for i in range(b.num_seen):
        if b.seen[i] == hash:
            return True
    return False


cdef inline void merge(Board* b, int into, int chain) noexcept nogil:
    """Two chains become one, under the head of the first."""
    cdef int stone = chain
    while True:
        b.points[stone].head = <uint16_t>into
        stone = b.points[stone].next
        if stone == chain:
            break
    b.points[into].next, b.points[chain].next = b.points[chain].next, b.points[into].next
    b.chains[into].hash ^= b.chains[chain].hash
    b.chains[into].liberties += b.chains[chain].liberties
    b.chains[into].size += b.chains[chain].size


cdef inline void add_empty(Board* b, int p) noexcept nogil:
    b.points[p].slot = <uint16_t>b.num_empty
    b.empties[b.num_empty] = <uint16_t>p
    b.num_empty += 1


cdef inline void take(const Settings* g, Board* b, int chain) noexcept nogil:
    """Removes a chain from the board."""
    cdef int stone = chain, next_stone, stride = g.stride
    cdef int colour = b.points[chain].colour
    cdef Point* points = b.points
    b.hash ^= b.chains[chain].hash
    while True:
        next_stone = points[stone].next
        points[stone].colour = EMPTY
        points[stone].head = 0
        points[stone].taken |= 1 << colour
        toggle(b.stones[colour], stone)
        add_empty(b, stone)
        b.chains[points[stone - stride].head].liberties += 1
        b.chains[points[stone - 1].head].liberties += 1
        b.chains[points[stone + 1].head].liberties += 1
        b.chains[points[stone + stride].head].liberties += 1
        stone = next_stone
        if stone == chain:
            break


cdef inline void add_stone(const Settings* g, Board* b, int p, int colour) noexcept nogil:
    """Puts a stone on an empty point and joins it to its neighbours; takes nothing."""
    cdef int[4] neighbours = [p - g.stride, p - 1, p + 1, p + g.stride]
    cdef Point* points = b.points
    cdef int i, head, own, liberties = 0
    b.num_empty -= 1
    b.empties[points[p].slot] = b.empties[b.num_empty]
    points[b.empties[b.num_empty]].slot = points[p].slot
    for i in range(4):
        liberties += points[neighbours[i]].colour == EMPTY
        b.chains[points[neighbours[i]].head].liberties -= 1
    points[p].colour = <uint8_t>colour
    points[p].head = points[p].next = <uint16_t>p
    b.chains[p].hash = g.keys[colour][p]
    b.chains[p].liberties = <uint16_t>liberties
    b.chains[p].size = 1
    b.hash ^= g.keys[colour][p]
    toggle(b.stones[colour], p)
    for i in range(4):
        head = points[neighbours[i]].head
        own = points[p].head
        if points[neighbours[i]].colour == colour and head != own:
            if b.chains[head].size > b.chains[own].size:
                merge(b, head, own)
            else:
                merge(b, own, head)


cdef inline void place(const Settings* g, Board* b, int p) noexcept nogil:
    """The mover's legal stone on p: stones without liberties are taken, the opponent's first, and the turn changes."""
    cdef int[4] neighbours = [p - g.stride, p - 1, p + 1, p + g.stride]
    cdef int colour = b.mover, i, head, num_empty, taken_point = 0
    add_stone(g, b, p, colour)
    num_empty = b.num_empty
    for i in range(4):
        head = b.points[neighbours[i]].head
        if b.points[neighbours[i]].colour == 3 - colour and b.chains[head].liberties == 0:
            take(g, b, head)
            taken_point = neighbours[i]
    head = b.points[p].head
    b.ko = 0
    if b.chains[head].liberties == 0:
        take(g, b, head)
    elif b.num_empty == num_empty + 1 and b.chains[head].size == 1 and b.chains[head].liberties == 1:
        b.ko = taken_point
    b.mover = 3 - colour
    b.passes = 0
    b.ply += 1
    remember(b)


cdef inline void pass_turn(Board* b) noexcept nogil:
    b.ko = 0
    b.mover = 3 - b.mover
    b.passes += 1
    b.ply += 1


cdef inline bint touches_empty(const Board* b, int p, int stride) noexcept nogil:
    return (b.points[p - stride].colour == EMPTY or b.points[p - 1].colour == EMPTY
            or b.points[p + 1].colour == EMPTY or b.points[p + stride].colour == EMPTY)


cdef inline uint64_t hash_after(const Settings* g, const Board* b, int p) noexcept nogil:
    """The hash of the board after the mover's stone on the empty point p."""
    cdef int[4] neighbours = [p - g.stride, p - 1, p + 1, p + g.stride]
    cdef int i, j, head, edges
    cdef uint64_t taken = 0, joined = 0
    cdef bint lives = touches_empty(b, p, g.stride), repeated
    for i in range(4):
        head = b.points[neighbours[i]].head
        if head == 0:
            continue                     # empty, or the edge
        edges = 0
        repeated = False
        for j in range(4):
            if b.points[neighbours[j]].head == head:
                edges += 1
                repeated |= j < i
        if b.points[neighbours[i]].colour == b.mover:
            lives |= b.chains[head].liberties > edges
            if not repeated:
                joined ^= b.chains[head].hash
        elif b.chains[head].liberties == edges:
            lives = True
            if not repeated:
                taken ^= b.chains[head].hash
    return b.hash ^ (taken ^ g.keys[b.mover][p] if lives else joined)


cdef inline bint may_place(const Settings* g, const Board* b, int p) noexcept nogil:
    """Whether the mover may play on the empty point p."""
    cdef int[4] neighbours = [p - g.stride, p - 1, p + 1, p + g.stride]
    cdef int i, j, head, edges
    cdef bint lives, joins = False
    cdef bint may_repeat = g.superko and (b.points[p].taken >> b.mover) & 1
    if p == b.ko:
        return False
    lives = touches_empty(b, p, g.stride)
    if not lives:
        for i in range(4):
            head = b.points[neighbours[i]].head
            if head == 0:
                continue                 # the edge
            edges = 0
            for j in range(4):
                edges += b.points[neighbours[j]].head == head
            if b.points[neighbours[i]].colour == b.mover:
                joins = True
                lives |= b.chains[head].liberties > edges
            else:
                lives |= b.chains[head].liberties == edges
    if not lives:                        # suicide; that of a single stone leaves the board as it is
        if not g.suicide or not joins:
            return False
        may_repeat = g.superko
    return not (may_repeat and seen_before(b, hash_after(g, b, p)))
