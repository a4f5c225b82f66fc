"""A perfect solver for Connect Four: who wins from a position, by alpha-beta with a transposition table.

Bitboards with one sentinel bit on top of each column, as in `games/connect4.pyx`. Moves that let the opponent win
at once are never searched, forced replies are taken alone, the others are tried in the order of the threats they
make, central columns first (the ideas are P. Pons's, "Solving Connect Four", 2015; the code is not).
"""
from libc.stdint cimport int8_t, uint64_t
from posix.mman cimport MAP_ANON, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap, munmap

import numpy as np

from mcts_ext.state cimport State

cdef extern from *:
    int popcount64 "__builtin_popcountll"(uint64_t) noexcept nogil
    void prefetch "__builtin_prefetch"(const void*) noexcept nogil

cdef extern from "<sys/mman.h>" nogil:
    int madvise(void* start, size_t length, int advice)
    int MADV_HUGEPAGE


cdef enum:
    MAX_COLUMNS = 32
    LOWER = 1                            # what a table entry knows of the value: at least, at most
    UPPER = 2


cdef struct Entry:
    uint64_t key                         # 0: empty
    int8_t value
    int8_t bound


cdef class Solver:
    """Solves positions of one board size. The table has 2^table_bits entries of 16 bytes."""
    cdef readonly int rows
    cdef readonly int cols
    cdef int height                      # bits of a column
    cdef uint64_t bottom, cells
    cdef uint64_t columns[MAX_COLUMNS]   # from the centre outwards
    cdef Entry* table
    cdef int table_bits
    cdef readonly uint64_t nodes         # searched since the solver was made

    def __cinit__(self, int rows=6, int cols=7, int table_bits=22):
        cdef int k, column
        if rows < 1 or cols < 1 or cols > MAX_COLUMNS or cols * (rows + 1) > 63:
            raise ValueError(f"a board of {rows}x{cols} is too large: columns * (rows + 1) must be 1 to 63")
        if not 10 <= table_bits <= 30:
            raise ValueError(f"table_bits = {table_bits}: must be from 10 to 30")
        self.rows, self.cols, self.height = rows, cols, rows + 1
        for column in range(cols):
            self.bottom |= <uint64_t>1 << (column * self.height)
        self.cells = self.bottom * ((<uint64_t>1 << rows) - 1)
        for k in range(cols):
            column = cols // 2 + (1 - 2 * (k % 2)) * (k + 1) // 2
            self.columns[k] = ((<uint64_t>1 << rows) - 1) << (column * self.height)
        self.table_bits = table_bits
        cdef void* memory = mmap(NULL, self._table_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0)
        if memory == MAP_FAILED:
            raise MemoryError(f"no memory for 2^{table_bits} table entries")
        self.table = <Entry*>memory
        madvise(memory, self._table_bytes(), MADV_HUGEPAGE)      # a search reads all over it: twice as fast

    def __dealloc__(self):
        if self.table != NULL:
            munmap(self.table, self._table_bytes())

    cdef size_t _table_bytes(self) noexcept nogil:
        return sizeof(Entry) << self.table_bits

    def value(self, State state not None):
        """+1, 0 or -1: what perfect play brings the player to move. Raises ValueError for another game or size."""
        cdef uint64_t mover, occupied
        cdef int result
        if state.terminal:
            return int(state.outcome())
        mover, occupied = self._bits(state)
        with nogil:
            result = self.solve(mover, occupied, -1, 1)
        return result

    def values(self, State state not None):
        """int8 `[cols]`: the value of each move for the player to move, -2 where it is illegal."""
        values = np.full(self.cols, -2, np.int8)
        for action in state.legal_actions():
            after = state.copy()
            after.play(action)
            values[action] = -self.value(after)
        return values

    def _bits(self, state):
        if not state.game.name.startswith("connect4") or (state.game.rows, state.game.cols) != (self.rows, self.cols):
            raise ValueError(f"this solver is for Connect Four of {self.rows}x{self.cols}, not {state.game.name}")
        mover = occupied = 0
        for row, line in enumerate(state.stones()):
            for column, stone in enumerate(line):
                bit = 1 << (column * self.height + self.rows - 1 - row)
                occupied |= bit if stone else 0
                mover |= bit if stone == state.to_move + 1 else 0
        return mover, occupied

    cdef inline uint64_t winning_cells(self, uint64_t stones, uint64_t occupied) noexcept nogil:
        """Empty cells that complete four in a row for `stones`, reachable now or not."""
        cdef uint64_t found, pairs
        cdef int k, step
        found = (stones << 1) & (stones << 2) & (stones << 3)                # on top of three in a column
        for k in range(3):
            step = self.height - 1 + k
            pairs = (stones << step) & (stones << 2 * step)
            found |= pairs & (stones << 3 * step)                            # beyond three
            found |= pairs & (stones >> step)                                # the gap behind two
            pairs = (stones >> step) & (stones >> 2 * step)
            found |= pairs & (stones >> 3 * step)
            found |= pairs & (stones << step)
        return found & (self.cells ^ occupied)

    cdef inline Entry* entry_of(self, uint64_t key) noexcept nogil:
        """Where the table keeps what it knows of that position: Fibonacci hashing (Knuth, volume 3, section 6.4)."""
        return self.table + (key * <uint64_t>0x9E3779B97F4A7C15 >> (64 - self.table_bits))

    cdef int solve(self, uint64_t mover, uint64_t occupied, int alpha, int beta) noexcept nogil:
        """Negamax of a position that is not over: the value for the player to move, exact within (alpha, beta)."""
        cdef uint64_t other = mover ^ occupied
        cdef uint64_t landings = (occupied + self.bottom) & self.cells
        cdef uint64_t threats, forced, key, move, swap
        cdef uint64_t moves[MAX_COLUMNS]
        cdef Entry* entries[MAX_COLUMNS]             # of the positions after the moves
        cdef int scores[MAX_COLUMNS]
        cdef int count = 0, k, j, value, best, score
        cdef int lower = alpha
        cdef Entry* entry
        cdef Entry* child
        self.nodes += 1
        if not landings:
            return 0
        if landings & self.winning_cells(mover, occupied):
            return 1
        threats = self.winning_cells(other, occupied)
        forced = landings & threats
        if forced:
            if forced & (forced - 1):
                return -1                # two threats at once
            landings = forced
        landings &= ~(threats >> 1)      # never prepare the opponent's winning cell
        if not landings:
            return -1
        if popcount64(self.cells ^ occupied) <= 2:
            return 0                     # no room for another win: the mover has no winning cell, nor the opponent

        key = mover + occupied + self.bottom
        entry = self.entry_of(key)
        if entry.key == key:
            if entry.bound == (LOWER | UPPER):
                return entry.value
            if entry.bound == LOWER and entry.value > alpha:
                alpha = entry.value
            elif entry.bound == UPPER and entry.value < beta:
                beta = entry.value
            if alpha >= beta:
                return entry.value
        for k in range(self.cols):       # insertion sort by threats made, central columns first among equals
            move = landings & self.columns[k]
            if not move:
                continue
            child = self.entry_of(other + (occupied | move) + self.bottom)
            prefetch(child)
            score = popcount64(self.winning_cells(mover | move, occupied | move))
            j = count
            while j > 0 and scores[j - 1] < score:
                moves[j], scores[j], entries[j] = moves[j - 1], scores[j - 1], entries[j - 1]
                j -= 1
            moves[j], scores[j], entries[j] = move, score, child
            count += 1
        for k in range(count):           # a move known to suffice (Plaat et al. 1996, "enhanced transposition cutoffs")
            child = entries[k]
            if child.key == other + (occupied | moves[k]) + self.bottom and child.bound & UPPER \
                    and -child.value >= beta:
                return -child.value
        lower = alpha
        best = -1
        for k in range(count):
            value = -self.solve(other, occupied | moves[k], -beta, -alpha)
            if value > best:
                best = value
            if best > alpha:
                alpha = best
            if alpha >= beta:
                break
        entry.key = key
        entry.value = best
        entry.bound = LOWER if best >= beta else UPPER if best <= lower else LOWER | UPPER
        if best == 1 or (best == -1 and entry.bound == UPPER):
            entry.bound = LOWER | UPPER  # nothing lies beyond
        return best
