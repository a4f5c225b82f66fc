"""Players that only play (another program, a solver, random moves) behind the analysis protocol.

A child process of the window: `python -m gui.seat_engine PLAYER GAME`. It answers each request with the player's move.
"""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from zero.arena.players import parse_player
from zero.arena.seats import Limits, PlayerFailure, Seat, open_seat
from zero.errors import UserError
from zero.games import make_game

SIGN_OF_LIFE = 1.0  # seconds


class Table:
    """One board. Moves that only go on from the last position are played, others set up anew."""

    def __init__(self, player: str, game: str, rules: dict):
        self.game = make_game(game, **rules)
        self.seat: Seat = open_seat(parse_player(player), self.game, 1, Limits())
        self.played: list[str] | None = None
        self.requests = 0

    def answer(self, request: dict) -> dict:
        """Raises ValueError for impossible moves, PlayerFailure when the player breaks down."""
        self.requests += 1
        if "stones" in request:
            raise ValueError("this player starts from the usual position only")
        moves = list(request["moves"])
        state = self.game.new_state()
        for move in moves:
            state.play(self.game.text_to_action(move))
        if state.terminal:
            return {"done": True, "value": state.outcome(), "visits": 0, "moves": []}
        if self.played is None or moves[:len(self.played)] != self.played:
            self.seat.reset(0, self.requests)
            self.played = []
        for move in moves[len(self.played):]:
            self.seat.play(0, self.game.text_to_action(move))
        self.played = moves
        choice = self.seat.choose([0])[0]
        if isinstance(choice, PlayerFailure):
            raise choice
        best = "resign" if choice.action is None else self.game.action_to_text(choice.action)
        if choice.value is None or choice.action is None:  # it does not say what it thinks
            return {"done": True, "best": best}
        candidate = {"move": best, "visits": choice.visits, "value": choice.value, "pv": [best]}
        return {"done": True, "best": best, "value": choice.value, "visits": choice.visits, "moves": [candidate]}


@contextmanager
def signs_of_life() -> Iterator[None]:
    """Says something every second while a player thinks: silence would count as a hang. Programs that hang are
    noticed by their seat."""
    finished = threading.Event()

    def speak() -> None:
        while not finished.wait(SIGN_OF_LIFE):
            print(json.dumps({"id": None, "thinking": True}), flush=True)

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def main(player: str, game: str) -> int:
    tables: dict[str, Table] = {}  # by the rules
    for line in sys.stdin:
        request = json.loads(line)
        if "cancel" in request:
            continue
        rules = request.get("rules", {})
        key = json.dumps(rules, sort_keys=True)
        try:
            table = tables[key] = tables.get(key) or Table(player, game, rules)
            with signs_of_life():
                answer = table.answer(request)
        except UserError as error:
            print(error, file=sys.stderr)
            return 2
        except (ValueError, PlayerFailure) as error:
            table.played, answer = None, {"error": str(error)}
        print(json.dumps({"id": request["id"], **answer}), flush=True)
    for table in tables.values():
        table.seat.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
