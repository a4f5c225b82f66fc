"""Stored games played again by the rules: the planes and legal masks a learner trains on, and whether a game is one."""

from libc.stdlib cimport free, malloc
from libc.stdint cimport int32_t, int64_t
import numpy as np

from mcts_ext.state cimport Game, Rules, State


def encode_positions(Game game not None, const unsigned short[::1] moves, const int64_t[::1] starts,
                     const int32_t[::1] plies):
    """Replays stored games up to given plies.

    moves: the moves of all games in a row; position k is the one after `plies[k]` moves from `moves[starts[k]:]`.
    Returns planes float32 `[n, rows, cols, planes]` and legal masks uint8 `[n, actions]`.
    Raises ValueError if a move is illegal, IndexError if it lies outside `moves`.
    """
    cdef const Rules* rules = &game.rules
    cdef Py_ssize_t n = starts.shape[0], k
    cdef Py_ssize_t plane_size = rules.rows * rules.cols * rules.planes
    cdef int64_t bad = -1
    cdef int j, move
    if plies.shape[0] != n:
        raise ValueError(f"{n} starts but {plies.shape[0]} plies")
    for k in range(n):
        if starts[k] < 0 or plies[k] < 0 or starts[k] + plies[k] > moves.shape[0]:
            raise IndexError(f"position {k} reaches outside the {moves.shape[0]} stored moves")
    planes = np.empty((n, rules.rows, rules.cols, rules.planes), np.float32)
    legal = np.empty((n, rules.num_actions), np.uint8)
    if n == 0:
        return planes, legal
    cdef float[:, :, :, ::1] planes_view = planes
    cdef unsigned char[:, ::1] legal_view = legal
    cdef unsigned char* state = <unsigned char*> malloc(rules.state_size)
    if state == NULL:
        raise MemoryError()
    try:
        with nogil:
            for k in range(n):
                rules.init(rules, state)
                for j in range(plies[k]):
                    move = moves[starts[k] + j]
                    rules.legal(rules, state, &legal_view[k, 0])
                    if move >= rules.num_actions or not legal_view[k, move] or rules.terminal(rules, state):
                        bad = k
                        break
                    rules.play(rules, state, move)
                rules.legal(rules, state, &legal_view[k, 0])
                rules.encode(rules, state, &planes_view[k, 0, 0, 0])
                if rules.destroy != NULL:
                    rules.destroy(rules, state)
                if bad >= 0:
                    break
    finally:
        free(state)
    if bad >= 0:
        raise ValueError(f"position {bad}: a stored move is illegal in {game.name}")
    return planes, legal


def replay_game(Game game not None, const unsigned short[::1] moves, const unsigned short[::1] counts=None,
                const unsigned short[::1] actions=None):
    """Plays a stored game of p plies by the rules.

    moves `[p]`; counts `[p]`, if given: how many of `actions` (which lie in a row) each ply's policy names.
    Returns (movers int8 `[p]`: 0 or 1, who was to move; the `State` after the last move). Raises ValueError naming the
    ply, from 1, whose move or policy is illegal.
    """
    cdef const Rules* rules = &game.rules
    cdef State state = State(game)
    cdef Py_ssize_t plies = moves.shape[0], ply, entry = 0, last
    cdef bint with_policies = counts is not None
    cdef int fault = 0
    if with_policies and counts.shape[0] != plies:
        raise ValueError(f"{plies} moves but {counts.shape[0]} policies")
    movers, legal = np.zeros(plies, np.int8), np.zeros(rules.num_actions, np.uint8)
    cdef signed char[::1] movers_view = movers
    cdef unsigned char[::1] legal_view = legal
    with nogil:
        for ply in range(plies):
            if rules.terminal(rules, state.blob):
                fault = 1
                break
            rules.legal(rules, state.blob, &legal_view[0])
            if moves[ply] >= rules.num_actions or not legal_view[moves[ply]]:
                fault = 2
                break
            if with_policies:
                last = entry + counts[ply]
                while entry < last and entry < actions.shape[0]:
                    if actions[entry] >= rules.num_actions or not legal_view[actions[entry]]:
                        fault = 3
                    entry += 1
                if fault or entry < last:
                    fault = 3
                    break
            movers_view[ply] = rules.to_move(rules, state.blob)
            rules.play(rules, state.blob, moves[ply])
    game.raise_error()
    if fault:
        what = ("the game was over before it", "its move is illegal", "its policy names an illegal move")[fault - 1]
        raise ValueError(f"ply {ply + 1}: {what}")
    return movers, state
