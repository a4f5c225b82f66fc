"""Proofs by the rules alone: alpha-beta with a transposition table, for the last plies of any game.

Games whose results are more than win, draw and loss lose nothing by it: only the sign of the outcome counts. The table
takes positions of equal hash for one, so that it is not for games whose result hangs on how a position came about
(superko).
"""
cimport cython
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

import numpy as np

from mcts_ext.result import UNPROVEN
from mcts_ext.state cimport Game, Rules, State, copy_state


cdef enum:
    LOWER = 1                            # what an entry knows of the value: at least, at most
    UPPER = 2
    ALIGNMENT = 16                       # of states


cdef bint init_prover(Prover* prover, const Rules* rules, int table_bits) noexcept nogil:
    """False if there is no memory; free_prover is due all the same."""
    cdef int ply
    memset(prover, 0, sizeof(Prover))
    prover.rules = rules
    prover.depth = rules.max_length + 2
    prover.stride = (rules.state_size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    prover.mask = (<uint64_t>1 << table_bits) - 1
    prover.table = <Entry*>calloc(prover.mask + 1, sizeof(Entry))
    prover.legal = <unsigned char*>malloc(prover.depth * rules.num_actions)
    prover.history = <uint32_t*>calloc(2 * rules.num_actions, sizeof(uint32_t))
    prover.states = <unsigned char*>malloc(prover.depth * prover.stride)
    if prover.states == NULL:
        return False
    for ply in range(prover.depth):
        rules.init(rules, prover.states + ply * prover.stride)
    return prover.table != NULL and prover.legal != NULL and prover.history != NULL


cdef void free_prover(Prover* prover) noexcept nogil:
    cdef int ply
    if prover.states != NULL and prover.rules.destroy != NULL:
        for ply in range(prover.depth):
            prover.rules.destroy(prover.rules, prover.states + ply * prover.stride)
    free(prover.states)
    free(prover.legal)
    free(prover.history)
    free(prover.table)


cdef void clear_prover(Prover* prover) noexcept nogil:
    """Forgets all positions, so that what the budget suffices for does not hang on what was solved before."""
    memset(prover.table, 0, (prover.mask + 1) * sizeof(Entry))
    memset(prover.history, 0, 2 * prover.rules.num_actions * sizeof(uint32_t))


cdef bint prove(Prover* prover, const void* state, long long moves, int* value) noexcept nogil:
    """Whether trying at most `moves` moves told the value (1, 0 or -1) for the player to move."""
    prover.budget = moves
    copy_state(prover.rules, prover.states, state)
    value[0] = _solve(prover, 0, -1, 1)
    return prover.budget >= 0


cdef int _solve(Prover* prover, int ply, int alpha, int beta) noexcept nogil:
    """Negamax: the value, exact within (alpha, beta), for the player to move; void once the budget is below 0."""
    cdef const Rules* rules = prover.rules
    cdef unsigned char* state = prover.states + ply * prover.stride
    cdef unsigned char* child = state + prover.stride
    cdef unsigned char* legal = prover.legal + ply * rules.num_actions
    cdef int mover = rules.to_move(rules, state)
    cdef uint32_t* history = prover.history + mover * rules.num_actions
    cdef int action, first = -1, value, best = -2, upper = -2, best_action = 0, low = alpha, bound
    cdef uint64_t key
    cdef Entry* entry
    if rules.terminal(rules, state):
        return _outcome(prover, state)
    key = rules.hash(rules, state)
    entry = prover.table + (key & prover.mask)
    if entry.bound and entry.key == key:
        if entry.bound == (LOWER | UPPER) or entry.bound == LOWER and entry.value >= beta \
                or entry.bound == UPPER and entry.value <= alpha:
            return entry.value
        first = entry.move
    rules.legal(rules, state, legal)
    for action in range(rules.num_actions):
        if not legal[action]:
            continue
        prover.budget -= 1
        copy_state(rules, child, state)
        rules.play(rules, child, action)
        bound = _glance(prover, child, mover, &value)
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
        action = first if first >= 0 and legal[first] else _next(prover, legal, history)
        if action < 0:
            break
        first = -1
        legal[action] = 0
        prover.budget -= 1
        copy_state(rules, child, state)
        rules.play(rules, child, action)
        value = -_solve(prover, ply + 1, -beta, -alpha) if rules.to_move(rules, child) != mover \
            else _solve(prover, ply + 1, alpha, beta)
        if prover.budget < 0:
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


cdef int _glance(Prover* prover, unsigned char* child, int mover, int* value) noexcept nogil:
    """What is known of a position without searching it, for `mover`: which bounds of its value `value` is. Ends of
    the game and what the table has cut most lines short (Plaat et al. 1996, "enhanced transposition cutoffs")."""
    cdef const Rules* rules = prover.rules
    cdef int bound = LOWER | UPPER
    cdef uint64_t key
    cdef Entry* entry
    if rules.terminal(rules, child):
        value[0] = _outcome(prover, child)
    else:
        key = rules.hash(rules, child)
        entry = prover.table + (key & prover.mask)
        if not entry.bound or entry.key != key:
            return 0
        value[0], bound = entry.value, entry.bound
    if rules.to_move(rules, child) == mover:
        return bound
    value[0] = -value[0]
    return (LOWER if bound & UPPER else 0) | (UPPER if bound & LOWER else 0)


cdef inline int _outcome(Prover* prover, const unsigned char* state) noexcept nogil:
    """The sign of the result of an ended game for the player to move."""
    cdef float outcome = prover.rules.outcome(prover.rules, state)
    return 1 if outcome > 0 else -1 if outcome < 0 else 0


cdef inline int _next(Prover* prover, const unsigned char* legal, const uint32_t* history) noexcept nogil:
    """The legal action that cut most lines short so far (Schaeffer 1989, history heuristic); -1: none left."""
    cdef int action, best = -1
    for action in range(prover.rules.num_actions):
        if legal[action] and (best < 0 or history[action] > history[best]):
            best = action
    return best


@cython.no_gc_clear                      # __dealloc__ needs `game`, which the collector of cycles would take away first
cdef class Endgame:
    """Solves positions of one game with at most so many moves tried; what it learned stays for the next positions.

    table_bits: the table has 2^table_bits entries of 16 bytes. Values are seen by the player to move. Not thread-safe.
    """
    cdef readonly Game game
    cdef Prover prover

    def __cinit__(self, Game game not None, int table_bits=17):
        if not 8 <= table_bits <= 30:
            raise ValueError(f"table_bits = {table_bits}: must be from 8 to 30")
        self.game = game
        if not init_prover(&self.prover, &game.rules, table_bits):
            raise MemoryError(f"no memory for 2^{table_bits} table entries")

    def __dealloc__(self):
        free_prover(&self.prover)

    def clear(self):
        """Forgets all positions."""
        clear_prover(&self.prover)

    def value(self, State state not None, long long moves):
        """1, 0 or -1 for the player to move; None if trying `moves` moves did not prove it."""
        cdef int found
        cdef bint proven
        self._check(state)
        with nogil:
            proven = prove(&self.prover, state.blob, moves, &found)
        self.game.raise_error()
        return found if proven else None

    def values(self, State state not None, long long moves):
        """int8 `[A]`: the value of each action for the player to move, UNPROVEN where the action is illegal or trying
        `moves` moves in all did not prove it."""
        cdef State child = self.game.new_state()
        cdef int action, found
        cdef bint proven
        values = np.full(self.game.rules.num_actions, UNPROVEN, np.int8)
        self._check(state)
        for action in state.legal_actions():
            copy_state(&self.game.rules, child.blob, state.blob)
            self.game.rules.play(&self.game.rules, child.blob, action)
            with nogil:
                proven = prove(&self.prover, child.blob, moves, &found)
            if not proven:
                break
            moves = self.prover.budget
            values[action] = -found if child.to_move != state.to_move else found
        self.game.raise_error()
        return values

    cdef _check(self, State state):
        if state.game is not self.game:
            raise ValueError(f"a state of {state.game.name}, this solver is for {self.game.name}")
