"""Proofs by the rules alone: alpha-beta with a transposition table, for the last plies of any game.

Games whose results are more than win, draw and loss lose nothing by it: only the sign of the outcome counts. The table
takes positions of equal hash for one, so that it is not for games whose result hangs on how a position came about
(superko).
"""
cimport cython
from libc.stdint cimport int8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

import numpy as np

from mcts_ext.result import UNPROVEN
from mcts_ext.state cimport Game, Rules, State, copy_state


cdef enum:
    LOWER = 1                            # what an entry knows of the value: at least, at most
    UPPER = 2
    ALIGNMENT = 16                       # of states


cdef struct Entry:
    uint64_t key
    int8_t value
    int8_t bound                         # 0: empty
    unsigned short move                  # tried first next time


@cython.no_gc_clear                      # __dealloc__ needs `game`, which the collector of cycles would take away first
cdef class Endgame:
    """Solves positions of one game with at most so many moves tried; what it learned stays for the next positions.

    table_bits: the table has 2^table_bits entries of 16 bytes. Values are seen by the player to move. Not thread-safe.
    """
    cdef readonly Game game
    cdef const Rules* rules
    cdef Entry* table
    cdef uint64_t mask
    cdef unsigned char* states           # one for each ply of a line
    cdef unsigned char* legal            # [max_length + 2, num_actions]
    cdef uint32_t* history               # [2, num_actions]: how often an action cut a line short
    cdef size_t stride
    cdef int depth
    cdef long long budget                # moves that may still be tried

    def __cinit__(self, Game game not None, int table_bits=17):
        cdef int ply
        if not 8 <= table_bits <= 30:
            raise ValueError(f"table_bits = {table_bits}: must be from 8 to 30")
        self.game = game
        self.rules = &game.rules
        self.depth = self.rules.max_length + 2
        self.stride = (self.rules.state_size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        self.mask = (<uint64_t>1 << table_bits) - 1
        self.table = <Entry*>calloc(self.mask + 1, sizeof(Entry))
        self.legal = <unsigned char*>malloc(self.depth * self.rules.num_actions)
        self.history = <uint32_t*>calloc(2 * self.rules.num_actions, sizeof(uint32_t))
        self.states = <unsigned char*>malloc(self.depth * self.stride)
        if self.states == NULL or self.history == NULL or self.legal == NULL or self.table == NULL:
            free(self.states)
            self.states = NULL
            raise MemoryError(f"no memory for 2^{table_bits} table entries")
        for ply in range(self.depth):
            self.rules.init(self.rules, self.states + ply * self.stride)

    def __dealloc__(self):
        cdef int ply
        if self.states != NULL and self.rules.destroy != NULL:
            for ply in range(self.depth):
                self.rules.destroy(self.rules, self.states + ply * self.stride)
        free(self.states)
        free(self.legal)
        free(self.history)
        free(self.table)

    def clear(self):
        """Forgets all positions, so that what the budget suffices for does not hang on what was solved before."""
        memset(self.table, 0, (self.mask + 1) * sizeof(Entry))
        memset(self.history, 0, 2 * self.rules.num_actions * sizeof(uint32_t))

    def value(self, State state not None, long long moves):
        """1, 0 or -1 for the player to move; None if trying `moves` moves did not prove it."""
        cdef int found
        self._begin(state, moves)
        with nogil:
            found = self._solve(0, -1, 1)
        self.game.raise_error()
        return None if self.budget < 0 else found

    def values(self, State state not None, long long moves):
        """int8 `[A]`: the value of each action for the player to move, UNPROVEN where the action is illegal or trying
        `moves` moves in all did not prove it."""
        cdef unsigned char* child = self.states + self.stride
        cdef int action, found
        values = np.full(self.rules.num_actions, UNPROVEN, np.int8)
        self._begin(state, moves)
        for action in state.legal_actions():
            copy_state(self.rules, child, self.states)
            self.rules.play(self.rules, child, action)
            with nogil:
                found = self._solve(1, -1, 1)
            if self.budget < 0:
                break
            values[action] = -found if self.rules.to_move(self.rules, child) != state.to_move else found
        self.game.raise_error()
        return values

    cdef _begin(self, State state, long long moves):
        if state.game is not self.game:
            raise ValueError(f"a state of {state.game.name}, this solver is for {self.game.name}")
        self.budget = moves
        copy_state(self.rules, self.states, state.blob)

    cdef int _solve(self, int ply, int alpha, int beta) noexcept nogil:
        """Negamax: the value, exact within (alpha, beta), for the player to move; void once the budget is below 0."""
        cdef const Rules* rules = self.rules
        cdef unsigned char* state = self.states + ply * self.stride
        cdef unsigned char* child = state + self.stride
        cdef unsigned char* legal = self.legal + ply * rules.num_actions
        cdef int mover = rules.to_move(rules, state)
        cdef uint32_t* history = self.history + mover * rules.num_actions
        cdef int action, first = -1, value, best = -2, upper = -2, best_action = 0, low = alpha, bound
        cdef uint64_t key
        cdef Entry* entry
        if rules.terminal(rules, state):
            return self._outcome(state)
        key = rules.hash(rules, state)
        entry = self.table + (key & self.mask)
        if entry.bound and entry.key == key:
            if entry.bound == (LOWER | UPPER) or entry.bound == LOWER and entry.value >= beta \
                    or entry.bound == UPPER and entry.value <= alpha:
                return entry.value
            first = entry.move
        rules.legal(rules, state, legal)
        for action in range(rules.num_actions):
            if not legal[action]:
                continue
            self.budget -= 1
            copy_state(rules, child, state)
            rules.play(rules, child, action)
            bound = self._glance(child, mover, &value)
            if bound & LOWER and value > best:
                best, best_action = value, action
            if bound & UPPER and value <= max(alpha, best):
                legal[action] = 0            # no better than what there is
                upper = max(upper, value)
            if best >= beta:
                break
        if best > alpha:
            alpha = best
        while alpha < beta:
            action = first if first >= 0 and legal[first] else self._next(legal, history)
            if action < 0:
                break
            first = -1
            legal[action] = 0
            self.budget -= 1
            copy_state(rules, child, state)
            rules.play(rules, child, action)
            value = -self._solve(ply + 1, -beta, -alpha) if rules.to_move(rules, child) != mover \
                else self._solve(ply + 1, alpha, beta)
            if self.budget < 0:
                return 0
            if value > best:
                best, best_action = value, action
            if best > alpha:
                alpha = best
            if alpha >= beta:
                history[action] += 1
        best = max(best, upper)
        entry.key = key
        entry.value = best
        entry.move = best_action
        entry.bound = LOWER if best >= beta else UPPER if best <= low else LOWER | UPPER
        if best == 1 and entry.bound == LOWER or best == -1 and entry.bound == UPPER:
            entry.bound = LOWER | UPPER  # nothing lies beyond
        return best

    cdef int _glance(self, unsigned char* child, int mover, int* value) noexcept nogil:
        """What is known of a position without searching it, for `mover`: which bounds of its value `value` is. Ends of
        the game and what the table has cut most lines short (Plaat et al. 1996, "enhanced transposition cutoffs")."""
        cdef const Rules* rules = self.rules
        cdef int bound = LOWER | UPPER
        cdef uint64_t key
        cdef Entry* entry
        if rules.terminal(rules, child):
            value[0] = self._outcome(child)
        else:
            key = rules.hash(rules, child)
            entry = self.table + (key & self.mask)
            if not entry.bound or entry.key != key:
                return 0
            value[0], bound = entry.value, entry.bound
        if rules.to_move(rules, child) == mover:
            return bound
        value[0] = -value[0]
        return (LOWER if bound & UPPER else 0) | (UPPER if bound & LOWER else 0)

    cdef inline int _outcome(self, const unsigned char* state) noexcept nogil:
        """The sign of the result of an ended game for the player to move."""
        cdef float outcome = self.rules.outcome(self.rules, state)
        return 1 if outcome > 0 else -1 if outcome < 0 else 0

    cdef inline int _next(self, const unsigned char* legal, const uint32_t* history) noexcept nogil:
        """The legal action that cut most lines short so far (Schaeffer 1989, history heuristic); -1: none left."""
        cdef int action, best = -1
        for action in range(self.rules.num_actions):
            if legal[action] and (best < 0 or history[action] > history[best]):
                best = action
        return best
