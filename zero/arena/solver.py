"""The player `solver`: perfect play where a game is small enough, or has a solver of its own."""

from functools import partial

from mcts_ext.state import Game, State
from zero.arena.clock import Clock
from zero.arena.seats import Choice, RandomSeat
from zero.errors import UserError

_EXHAUSTIVE_PLIES = 9  # the longest game that is searched to its end


class SolverSeat(RandomSeat):
    """Plays a random one of the moves that keep the position's value, the game as long as it lasts."""

    def __init__(self, game: Game, slots: int):
        super().__init__(game, slots)
        self.values = _find_solver(game)

    def choose(self, slots: list[int], clock: Clock | None = None) -> dict[int, Choice]:
        return {slot: self._choose(slot) for slot in slots}

    def _choose(self, slot: int) -> Choice:
        values = self.values(self.states[slot])
        best = max(values.values())
        action = self.rngs[slot].choice([action for action, value in values.items() if value == best])
        return Choice(int(action), float(best))


def _find_solver(game: Game):
    """A function from a state to the value of every legal action, seen by the player to move. Raises UserError."""
    if game.name.startswith("connect4"):
        from mcts_ext.connect4_solver import Solver

        return partial(_connect4_values, Solver(game.rows, game.cols))
    if game.max_length <= _EXHAUSTIVE_PLIES:
        return partial(_exhaustive_values, {})
    raise UserError(f"player 'solver': there is no solver for {game.name}")


def _connect4_values(solver, state: State) -> dict[int, int]:
    values = solver.values(state)
    return {action: int(values[action]) for action in state.legal_actions()}


def _exhaustive_values(known: dict[int, int], state: State) -> dict[int, int]:
    """Negamax to the end of the game; `known` remembers values by the state's hash."""
    values = {}
    for action in state.legal_actions():
        after = state.copy()
        after.play(action)
        key = after.hash()
        if key not in known:
            known[key] = int(after.outcome()) if after.terminal else max(_exhaustive_values(known, after).values())
        values[action] = -known[key]
    return values
