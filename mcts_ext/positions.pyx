"""Stored games played again by the rules: the planes and legal masks a learner trains on, and whether a game is one."""

from libc.stdlib cimport free, malloc
from libc.stdint cimport int32_t, int64_t
import numpy as np

from mcts_ext.state cimport Game, Rules


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


def replay_game(Game game not None, const unsigned short[::1] moves, const unsigned short[::1] counts,
                const unsigned short[::1] actions):
    """Plays a stored game of p plies by the rules.

    moves `[p]`; counts `[p]`: how many of `actions` (which lie in a row) each ply's policy names.
    Returns (movers int8 `[p]`, 0 or 1; the outcome +1, 0 or -1 for the first player, None if the rules have not
    ended the game). Raises ValueError naming the ply, from 1, whose move or policy is illegal.
    """
    cdef const Rules* rules = &game.rules
    cdef Py_ssize_t plies = moves.shape[0], ply, entry = 0, last
    cdef int fault = 0, outcome = 0
    cdef bint over = False
    if counts.shape[0] != plies:
        raise ValueError(f"{plies} moves but {counts.shape[0]} policies")
    movers = np.zeros(plies, np.int8)
    cdef signed char[::1] movers_view = movers
    cdef unsigned char* legal = <unsigned char*> malloc(rules.num_actions)
    cdef unsigned char* state = <unsigned char*> malloc(rules.state_size)
    if state == NULL or legal == NULL:
        free(state)
        free(legal)
        raise MemoryError()
    with nogil:
        rules.init(rules, state)
        for ply in range(plies):
            if rules.terminal(rules, state):
                fault = 1
                break
            rules.legal(rules, state, legal)
            if moves[ply] >= rules.num_actions or not legal[moves[ply]]:
                fault = 2
                break
            last = entry + counts[ply]
            while entry < last and entry < actions.shape[0]:
                if actions[entry] >= rules.num_actions or not legal[actions[entry]]:
                    fault = 3
                entry += 1
            if fault or entry < last:
                fault = 3
                break
            movers_view[ply] = rules.to_move(rules, state)
            rules.play(rules, state, moves[ply])
        if not fault:
            over = rules.terminal(rules, state)
            if over:
                outcome = <int>rules.outcome(rules, state)
                if rules.to_move(rules, state):
                    outcome = -outcome
        if rules.destroy != NULL:
            rules.destroy(rules, state)
        free(state)
        free(legal)
    game.raise_error()
    if fault:
        what = ("the game was over before it", "its move is illegal", "its policy names an illegal move")[fault - 1]
        raise ValueError(f"ply {ply + 1}: {what}")
    return movers, (outcome if over else None)
