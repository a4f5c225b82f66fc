"""Games written in Python: `PythonGame` turns an object with the ideas of a game into a `Game` for everything here.

The object's methods take a state, any hashable value that is never changed in place, such as a tuple:

    start() -> state
    to_move(state) -> 0 or 1
    legal(state) -> the legal actions, a list of int; only asked while the game goes on
    play(state, action) -> the state after it
    outcome(state) -> None while the game goes on; then +1, 0 or -1 for the player to move
    encode(state) -> planes [rows, cols, planes], seen by the player to move: own stones, then the opponent's, then any

Its attributes are `name`, `rows`, `cols`, `planes`, `num_actions` and `max_length` (plies, an upper bound). Optional:
`action_to_text(action)` (cells `a1`.. where every action is one, else numbers from 1), `symmetries` (a list of action
and point permutations, see `Game`), `geometry` ("cells"), `draw(state)`.

Every call takes the GIL, so such a game is slow, and more threads do not help; all else is as for compiled games.
"""
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint64_t
from libc.string cimport memset

from mcts_ext.rng cimport mix64, random_below
from mcts_ext.state cimport Game, Rules, State

import numpy as np

from mcts_ext.notation import cell_name

CONSTANTS = ("rows", "cols", "planes", "num_actions", "max_length")
METHODS = ("start", "to_move", "legal", "play", "outcome", "encode")
GEOMETRIES = ("points", "cells", "hex", "drop")


cdef class PythonGame(Game):
    """The game that `definition` describes. Raises TypeError or ValueError where it lacks something."""
    cdef readonly object definition
    cdef object error                    # the first exception since `raise_error` was called
    cdef list texts

    def __cinit__(self, definition):
        self.definition = definition
        name = getattr(definition, "name", None)
        if not isinstance(name, str) or not name:
            raise TypeError(f"{type(definition).__name__}.name = {name!r}: must be a text")
        for constant in CONSTANTS:
            value = getattr(definition, constant, None)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise TypeError(f"{name}: {constant} = {value!r}: must be a whole number, 1 or more")
        for method in METHODS:
            if not callable(getattr(definition, method, None)):
                raise TypeError(f"{name}: there is no method {method}")
        self.name = name
        self.geometry = getattr(definition, "geometry", "cells")
        if self.geometry not in GEOMETRIES:
            raise ValueError(f"{name}: geometry = {self.geometry!r}: must be one of {', '.join(GEOMETRIES)}")
        self.rules = Rules(
            state_size=sizeof(PyObject*), num_actions=definition.num_actions, rows=definition.rows,
            cols=definition.cols, planes=definition.planes, max_length=definition.max_length,
            data=<void*>self, init=init, copy=copy, destroy=destroy, play=play, legal=legal, to_move=to_move,
            terminal=terminal, outcome=outcome, hash=hash_, encode=encode, playout=playout, stones=stones,
            score=NULL, ownership=NULL)
        self.symmetries = self._read_symmetries()
        self.texts = [self._text(action) for action in range(self.num_actions)]
        _check_start(self)

    def _text(self, int action):
        if hasattr(self.definition, "action_to_text"):
            return str(self.definition.action_to_text(action))
        return cell_name(action, self.cols) if self.num_actions == self.rows * self.cols else str(action + 1)

    def _read_symmetries(self):
        """The definition's, each checked to be a pair of permutations; the identity comes first."""
        sizes = self.num_actions, self.rows * self.cols
        symmetries = [tuple(np.arange(size, dtype=np.int32) for size in sizes)]
        for pair in getattr(self.definition, "symmetries", []):
            pair = tuple(np.array(permutation, np.int32) for permutation in pair)
            if [sorted(p.ravel().tolist()) for p in pair] != [list(range(size)) for size in sizes]:
                raise ValueError(f"{self.name}: symmetries must be pairs: a permutation of the {sizes[0]} actions and "
                                 f"one of the {sizes[1]} points")
            if any((p != identity).any() for p, identity in zip(pair, symmetries[0], strict=True)):
                symmetries.append(pair)
        return symmetries

    cdef int raise_error(self) except -1:
        error, self.error = self.error, None
        if error is not None:
            raise error
        return 0

    cdef int failed(self, error) except -1:
        """Keeps an exception that the search, which knows no Python, cannot pass on; until it is raised, every game
        seems over, so that the search comes to its end."""
        if self.error is None:
            self.error = error
        return 0

    def action_to_text(self, int action):
        self.check_action(action)
        return self.texts[action]

    def text_to_action(self, str text):
        for action, name in enumerate(self.texts):
            if name.lower() == text.strip().lower():
                return action
        raise ValueError(f"{self.name}: {text!r} is not a move; moves are such as {self.texts[0]}")

    def draw(self, State state):
        if hasattr(self.definition, "draw"):
            return self.definition.draw(value_of(state.blob))
        return Game.draw(self, state)

    def value(self, State state not None):
        """The definition's own value for a state."""
        if state.game is not self:
            raise ValueError(f"{self.name}: this is a state of {state.game.name}")
        return value_of(state.blob)

    def __reduce__(self):
        return PythonGame, (self.definition,)


def _check_start(game):
    """The faults that every first position shows, with a clear line each."""
    definition = game.definition
    start = definition.start()
    try:
        hash(start)
    except TypeError:
        raise TypeError(f"{game.name}: start() returns a {type(start).__name__}, which is not hashable: "
                        "states must be values such as tuples") from None
    shape = np.shape(definition.encode(start))
    if shape != (game.rows, game.cols, game.planes):
        raise ValueError(f"{game.name}: encode() returns an array {list(shape)}: "
                         f"must be {[game.rows, game.cols, game.planes]}")
    if definition.outcome(start) is None and not len(definition.legal(start)):
        raise ValueError(f"{game.name}: at the start the game goes on, but legal() has no action")


cdef inline object value_of(const void* s):
    return <object>(<PyObject**>s)[0]


cdef inline void assign(void* s, object value):
    """s, an initialised state, becomes `value`."""
    Py_INCREF(value)
    before = (<PyObject**>s)[0]
    (<PyObject**>s)[0] = <PyObject*>value
    Py_DECREF(<object>before)


cdef void init(const Rules* rules, void* s) noexcept with gil:
    cdef PythonGame game = <PythonGame>rules.data
    (<PyObject**>s)[0] = <PyObject*>None
    Py_INCREF(None)
    try:
        assign(s, game.definition.start())
    except BaseException as error:
        game.failed(error)


cdef void copy(const Rules* rules, void* dst, const void* src) noexcept with gil:
    assign(dst, value_of(src))


cdef void destroy(const Rules* rules, void* s) noexcept with gil:
    Py_DECREF(value_of(s))


cdef void play(const Rules* rules, void* s, int action) noexcept with gil:
    cdef PythonGame game = <PythonGame>rules.data
    try:
        assign(s, game.definition.play(value_of(s), action))
    except BaseException as error:
        game.failed(error)


cdef int legal(const Rules* rules, const void* s, unsigned char* mask) noexcept with gil:
    cdef PythonGame game = <PythonGame>rules.data
    cdef int action, count = 0
    memset(mask, 0, rules.num_actions)
    try:
        for action in game.definition.legal(value_of(s)):
            game.check_action(action)
            count += not mask[action]
            mask[action] = 1
        if count == 0:
            raise ValueError(f"{game.name}: the game goes on, but legal() has no action: {value_of(s)!r}")
    except BaseException as error:
        game.failed(error)
        mask[0] = 1                      # a search relies on one
        count = 1
    return count


cdef int to_move(const Rules* rules, const void* s) noexcept with gil:
    cdef PythonGame game = <PythonGame>rules.data
    try:
        player = game.definition.to_move(value_of(s))
        if player not in (0, 1):
            raise ValueError(f"{game.name}: to_move() returns {player!r}: must be 0 or 1")
        return player
    except BaseException as error:
        game.failed(error)
        return 0


cdef object result_of(PythonGame game, const void* s):
    """The checked outcome; None while the game goes on."""
    result = game.definition.outcome(value_of(s))
    if result is not None and result not in (-1, 0, 1):
        raise ValueError(f"{game.name}: outcome() returns {result!r}: must be None, -1, 0 or 1")
    return result


cdef bint terminal(const Rules* rules, const void* s) noexcept with gil:
    cdef PythonGame game = <PythonGame>rules.data
    try:
        return game.error is not None or result_of(game, s) is not None
    except BaseException as error:
        game.failed(error)
        return True


cdef float outcome(const Rules* rules, const void* s) noexcept with gil:
    cdef PythonGame game = <PythonGame>rules.data
    try:
        return 0.0 if game.error is not None else result_of(game, s)
    except BaseException as error:
        game.failed(error)
        return 0.0


cdef uint64_t hash_(const Rules* rules, const void* s) noexcept with gil:
    cdef PythonGame game = <PythonGame>rules.data
    try:
        return mix64(<uint64_t><Py_hash_t>hash(value_of(s)))
    except BaseException as error:
        game.failed(error)
        return 0


cdef object planes_of(PythonGame game, const void* s):
    array = np.ascontiguousarray(game.definition.encode(value_of(s)), np.float32)
    if array.shape != (game.rows, game.cols, game.planes):
        raise ValueError(f"{game.name}: encode() returns an array {list(array.shape)}: "
                         f"must be {[game.rows, game.cols, game.planes]}")
    return array


cdef void encode(const Rules* rules, const void* s, float* planes) noexcept with gil:
    cdef PythonGame game = <PythonGame>rules.data
    cdef float[:, :, ::1] out = <float[:rules.rows, :rules.cols, :rules.planes]>planes
    cdef const float[:, :, ::1] array
    try:
        array = planes_of(game, s)
        out[...] = array
    except BaseException as error:
        game.failed(error)
        out[...] = 0


cdef float playout(const Rules* rules, void* s, uint64_t* rng) noexcept with gil:
    cdef PythonGame game = <PythonGame>rules.data
    cdef int player = to_move(rules, s)
    try:
        while not terminal(rules, s):
            actions = game.definition.legal(value_of(s))
            assign(s, game.definition.play(value_of(s), actions[random_below(rng, len(actions))]))
    except BaseException as error:
        game.failed(error)
    return outcome(rules, s) if to_move(rules, s) == player else -outcome(rules, s)


cdef void stones(const Rules* rules, const void* s, signed char* points) noexcept with gil:
    """From the first two planes: the mover's stones and the opponent's."""
    cdef PythonGame game = <PythonGame>rules.data
    cdef int point, own
    memset(points, 0, rules.rows * rules.cols)
    try:
        array = planes_of(game, s)
        own = 1 + to_move(rules, s)
        for point, (mine, theirs) in enumerate(array[..., :2].reshape(-1, 2).tolist()):
            points[point] = own if mine else 3 - own if theirs else 0
    except BaseException as error:
        game.failed(error)
