"""Games and states as Python sees them; `state.pxd` holds the contract that a game fulfils."""
cimport cython
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc

import numpy as np


cdef class Game:
    """A game's constants, notation and geometry. Subclasses fill `rules` in `__cinit__`, and never change it after.

    `symmetries`: list of (action permutation int32 [A], point permutation int32 [rows * cols]), the identity first;
    a symmetry maps a policy by `new_policy[action_permutation[a]] = policy[a]`, and a board likewise.
    """

    def __cinit__(self, *args, **kwargs):
        self.name = ""
        self.geometry = "cells"
        self.settings = {}
        self.symmetries = []

    @property
    def num_actions(self):
        return self.rules.num_actions

    @property
    def rows(self):
        return self.rules.rows

    @property
    def cols(self):
        return self.rules.cols

    @property
    def planes(self):
        return self.rules.planes

    @property
    def max_length(self):
        """Plies: no game is longer."""
        return self.rules.max_length

    @property
    def state_size(self):
        """Bytes of one state."""
        return self.rules.state_size

    @property
    def full_name(self):
        """The name and the settings that are not the usual ones, `go9?komi=6.5`: what `make` makes it from."""
        values = (str(value).lower() if isinstance(value, bool) else str(value).removesuffix(".0")
                  for value in self.settings.values())
        settings = "&".join(f"{key}={value}" for key, value in zip(self.settings, values))
        return f"{self.name}?{settings}" if settings else self.name

    def new_state(self):
        """The start position, a `State`."""
        return State(self)

    def action_to_text(self, int action):
        """The action as people write it. Raises ValueError if there is no such action."""
        raise NotImplementedError(f"{type(self).__name__} lacks action_to_text")

    def text_to_action(self, str text):
        """The inverse of `action_to_text`, in upper or lower case. Raises ValueError with a clear line."""
        raise NotImplementedError(f"{type(self).__name__} lacks text_to_action")

    def draw(self, State state):
        """The board as text, with coordinates where the game has them."""
        stones = state.stones()
        letters = "abcdefghijklmnopqrstuvwxyz"[:self.cols]
        lines = [f"{row + 1:2d} " + " ".join(".XO"[stone] for stone in stones[row]) for row in range(self.rows)]
        return "\n".join(["   " + " ".join(letters), *lines])

    def check_action(self, int action):
        """Raises ValueError unless 0 <= action < num_actions."""
        if not 0 <= action < self.rules.num_actions:
            raise ValueError(f"{self.name}: action {action} is not in 0..{self.rules.num_actions - 1}")

    cdef int raise_error(self) except -1:
        """Raises what went wrong in rules that are written in Python, if anything did since the last call."""
        return 0

    def __reduce__(self):
        from mcts_ext.games import remake
        return remake, (self.name, self.settings)

    def __repr__(self):
        return f"Game({self.full_name!r})"


@cython.no_gc_clear                      # __dealloc__ needs `game`, which the collector of cycles would take away first
cdef class State:
    """A position of a game: a value that can be copied and played on.

    Values are seen by the player to move (`to_move`, 0 or 1).
    """

    def __cinit__(self, Game game not None):
        if game.rules.init == NULL:
            raise ValueError(f"{type(game).__name__} has no rules")
        self.game = game
        self.blob = malloc(game.rules.state_size)
        if self.blob == NULL:
            raise MemoryError(f"{game.name}: no memory for a state")
        game.rules.init(&game.rules, self.blob)
        game.raise_error()

    def __dealloc__(self):
        if self.blob != NULL:
            if self.game.rules.destroy != NULL:
                self.game.rules.destroy(&self.game.rules, self.blob)
            free(self.blob)

    @property
    def to_move(self):
        """0: the first player, 1: the second."""
        player = self.game.rules.to_move(&self.game.rules, self.blob)
        self.game.raise_error()
        return player

    @property
    def terminal(self):
        over = bool(self.game.rules.terminal(&self.game.rules, self.blob))
        self.game.raise_error()
        return over

    def outcome(self):
        """+1, 0 or -1 for the player to move. Raises ValueError while the game is not over."""
        if not self.terminal:
            raise ValueError(f"{self.game.name}: the game is not over, it has no outcome yet")
        return self.game.rules.outcome(&self.game.rules, self.blob)

    def legal(self):
        """uint8 [A]: 1 where the action is legal; all 0 when the game is over."""
        mask = np.zeros(self.game.rules.num_actions, np.uint8)
        cdef unsigned char[::1] view = mask
        if not self.terminal:
            self.game.rules.legal(&self.game.rules, self.blob, &view[0])
            self.game.raise_error()
        return mask

    def legal_actions(self):
        """The legal actions in rising order, a list of int."""
        return self.legal().nonzero()[0].tolist()

    def play(self, int action):
        """Plays in place. Raises ValueError if the action is illegal here or the game is over."""
        self.game.check_action(action)
        if self.terminal:
            raise ValueError(f"{self.game.name}: the game is over, no move can be played")
        if not self.legal()[action]:
            raise ValueError(f"{self.game.name}: illegal move {self.game.action_to_text(action)}")
        self.game.rules.play(&self.game.rules, self.blob, action)
        self.game.raise_error()

    def encode(self):
        """float32 [rows, cols, planes], seen by the player to move: own stones in the first plane."""
        planes = np.empty((self.game.rows, self.game.cols, self.game.planes), np.float32)
        cdef float[:, :, ::1] view = planes
        self.game.rules.encode(&self.game.rules, self.blob, &view[0, 0, 0])
        self.game.raise_error()
        return planes

    def stones(self):
        """int8 [rows, cols]: 0 empty, 1 the first player's, 2 the second's."""
        points = np.zeros((self.game.rows, self.game.cols), np.int8)
        cdef signed char[:, ::1] view = points
        self.game.rules.stones(&self.game.rules, self.blob, &view[0, 0])
        self.game.raise_error()
        return points

    def score(self):
        """The margin of the player to move at the end. Raises ValueError before, and in games without a count."""
        self._require_count(self.game.rules.score != NULL)
        return self.game.rules.score(&self.game.rules, self.blob)

    def ownership(self):
        """int8 [rows, cols] at the end: 1 the first player's point, 2 the second's, 0 nobody's. Raises as `score`."""
        self._require_count(self.game.rules.ownership != NULL)
        points = np.zeros((self.game.rows, self.game.cols), np.int8)
        cdef signed char[:, ::1] view = points
        self.game.rules.ownership(&self.game.rules, self.blob, &view[0, 0])
        return points

    def _require_count(self, bint counted):
        if not counted:
            raise ValueError(f"{self.game.name}: this game is not counted, it has no score or ownership")
        if not self.terminal:
            raise ValueError(f"{self.game.name}: the game is not over, there is nothing to count yet")

    def playout(self, uint64_t seed):
        """Plays random moves to the end, in place; the result for the player who was to move before."""
        cdef uint64_t rng = seed
        result = self.game.rules.playout(&self.game.rules, self.blob, &rng)
        self.game.raise_error()
        return result

    def playouts(self, int count, uint64_t seed):
        """`count` games of random moves from here, which stays as it is; how many the mover (won, drew, lost)."""
        cdef State scratch = self.copy()
        cdef const Rules* rules = &self.game.rules
        cdef uint64_t rng = seed
        cdef float result
        cdef int i, won = 0, lost = 0
        with nogil:
            for i in range(count):
                copy_state(rules, scratch.blob, self.blob)
                result = rules.playout(rules, scratch.blob, &rng)
                won += result > 0
                lost += result < 0
        self.game.raise_error()
        return won, count - won - lost, lost

    def hash(self):
        return self.game.rules.hash(&self.game.rules, self.blob)

    def copy(self):
        cdef State other = State(self.game)
        copy_state(&self.game.rules, other.blob, self.blob)
        return other

    def __copy__(self):
        return self.copy()

    def __str__(self):
        return self.game.draw(self)

    def __repr__(self):
        return f"State({self.game.name!r}, to_move={self.to_move}, terminal={self.terminal})\n{self}"
