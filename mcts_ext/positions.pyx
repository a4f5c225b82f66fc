"""Positions of stored games, rebuilt from their moves: the planes and legal masks a learner trains on."""

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
