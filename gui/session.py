"""A game being played: the match, its clock, and the engines' part in it. No pixels.

The window calls `update` when an event came or a deadline passed; everything asked of an engine is bound to the
generation of the match at that moment, and answers to another generation do not move a stone.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gui.analysis import Analysis, from_answer
from gui.clock import Clock
from gui.engine import PLAYS_ONLY, Engine, analysis_command
from gui.model import Illegal, Match, Node, Side

ENDLESS = 10_000_000  # simulations, when a deadline ends the search
REPORT_EVERY = 0.1  # seconds, while somebody looks
SIGN_OF_LIFE = 1.0  # seconds, otherwise: a long search is no silence
TOP = 8
WATCHING_PACE = 0.4  # seconds at least between the moves of two engines, so that people can follow

Command = Callable[[str, str], list[str]]


class Engines:
    """One engine process per (player, game), started when first needed."""

    def __init__(self, wake: Callable[[], None], command: Command = analysis_command):
        self.wake, self.command = wake, command
        self.running: dict[tuple[str, str], Engine] = {}

    def get(self, player: str, game: str) -> Engine:
        key = (player, game)
        if key not in self.running:
            self.running[key] = Engine(self.command(player, game), wake=self.wake)
        return self.running[key]

    def poll(self) -> bool:
        return any([engine.poll() for engine in list(self.running.values())])

    def next_deadline(self) -> float | None:
        return min((d for e in self.running.values() if (d := e.next_deadline()) is not None), default=None)

    def troubled(self) -> list[tuple[str, Engine]]:
        """Engines that are being restarted or were given up."""
        return [(player, e) for (player, _), e in self.running.items() if e.state in ("waiting", "failed")]

    def drop(self, player: str, game: str) -> None:
        engine = self.running.pop((player, game), None)
        if engine:
            engine.close()

    def close(self) -> None:
        for engine in self.running.values():
            engine.close()
        self.running.clear()


@dataclass
class Seeing:
    """What is shown of the engine's thoughts. All off: a serious game, and nothing is computed."""

    candidates: bool = False
    policy: bool = False
    ownership: bool = False
    graph: bool = False

    @property
    def any(self) -> bool:
        return self.candidates or self.policy or self.ownership or self.graph


@dataclass
class Status:
    """One line for people: a key of the string table and its arguments."""

    key: str = "status.ready"
    args: dict = field(default_factory=dict)


class Session:
    """Ties a match to clocks and engines."""

    def __init__(self, match: Match, engines: Engines, analyst: str, analysis_sims: int = 800,
                 clock: Callable[[], float] = time.monotonic, seed: int | None = None):
        self.match, self.engines, self.analyst, self.analysis_sims = match, engines, analyst, analysis_sims
        self.now, self.random = clock, random.Random(seed)
        self.clock = Clock(match.setup.minutes * 60, match.setup.increment)
        self.seeing, self.status = Seeing(), Status()
        self.review_left = 0
        self._asked: tuple | None = None  # what the open question was about
        self._request: tuple[Engine, str] | None = None
        self._move_at: tuple[float, int, str] | None = None  # (time, generation, move): an answer held back
        self._reviews: list[tuple[Engine, str]] = []

    # -- what the window does --------------------------------------------------------------------------------------

    def play(self, action: int) -> bool:
        """A human's move. Says why not if it is impossible."""
        try:
            self._played(self.match.play(action))
            return True
        except Illegal as error:
            self.say(str(error))
            self.match.sounds.append("illegal")
            return False

    def play_text(self, text: str) -> bool:
        try:
            action = self.match.game.text_to_action(text.strip())
        except ValueError:
            self.say("status.no_move", text=text)
            self.match.sounds.append("illegal")
            return False
        return self.play(action)

    def pass_move(self) -> bool:
        action = self.match.actions.named.get("pass")
        return action is not None and self.play(action)

    def resign(self) -> None:
        if not self.match.over:
            self.match.resign()
            self.say_result()

    def analysis_player(self) -> str:
        """Whose thoughts are shown: the opponent's if it has any, else those of the one chosen for analysis."""
        mover, other = self.match.side, self.match.setup.sides[1 - self.match.state.to_move]
        thinking = [side.player for side in (mover, other) if not side.human and not side.player.startswith(PLAYS_ONLY)]
        return thinking[0] if thinking else self.analyst

    def thinking(self) -> bool:
        return bool(self._request and self._asked and self._asked[0] == "move")

    def gave_up(self) -> bool:
        """Whether the engine that was asked does not work any more."""
        return bool(self._request and self._request[0].state == "failed")

    def update(self) -> None:
        """Polls engines, moves the clock on, asks what is to be asked."""
        self.engines.poll()
        now = self.now()
        self._run_clock(now)
        if self._move_at and now >= self._move_at[0]:
            _, generation, move = self._move_at
            self._move_at = None
            if generation == self.match.generation:
                self._engine_plays(move)
        self._ask()

    def next_deadline(self) -> float | None:
        """When `update` is due though no event came (clock time)."""
        times = [self.engines.next_deadline(), self._move_at[0] if self._move_at else None]
        return min((t for t in times if t is not None), default=None)

    def review(self, sims: int) -> None:
        """Asks about every position of the main line that was not looked at as deeply yet."""
        engine = self.engines.get(self.analysis_player(), self.match.setup.game)
        for node in self.match.node.main_line():
            if node.state.terminal or (node.analysis and node.analysis.done and node.analysis.visits >= sims):
                continue
            self.review_left += 1
            request = engine.ask(self.payload(node, sims), lambda a, node=node: self._reviewed(node, a))
            self._reviews.append((engine, request))

    def stop_review(self) -> None:
        for engine, request in self._reviews:
            engine.cancel(request)
        self._reviews.clear()
        self.review_left = 0

    def close(self) -> None:
        self._drop_request()
        self.stop_review()

    # -- questions -------------------------------------------------------------------------------------------------

    def _wanted(self) -> tuple | None:
        """What should be under way now: ('move' | 'look', generation, player, simulations, seconds, ownership)."""
        match, owned = self.match, self.seeing.ownership and self.match.komi() is not None
        if match.engine_to_move:
            if self._move_at and self._move_at[1] == match.generation:
                return None
            side = match.side
            return "move", match.generation, side.player, ENDLESS if side.seconds else side.sims, side.seconds, owned
        if self.seeing.any and not match.over:
            have = match.node.analysis
            enough = have and have.done and have.visits >= 0.9 * self.analysis_sims
            if not enough or (owned and not have.ownership):
                return "look", match.generation, self.analysis_player(), self.analysis_sims, 0.0, owned
        return None

    def _ask(self) -> None:
        wanted = self._wanted()
        if wanted == self._asked:
            return
        self._drop_request()
        self._asked = wanted
        if wanted is None:
            return
        kind, generation, player, sims, seconds, owned = wanted
        node = self.match.node
        engine = self.engines.get(player, self.match.setup.game)
        payload = self.payload(node, sims) | {"report_every": REPORT_EVERY if self.seeing.any else SIGN_OF_LIFE}
        payload |= {"time": seconds} if seconds else {}
        payload |= {"ownership": True} if owned else {}
        request = engine.ask(payload, lambda answer: self._answered(kind, generation, node, answer))
        self._request = (engine, request)
        if kind == "move":
            self.say("status.thinking", side=self.match.state.to_move)

    def payload(self, node: Node, sims: int) -> dict:
        """A request about a position; rules, komi and stones go along where they are not the game's own."""
        setup = self.match.setup
        besides = {name: value for name, value in (("rules", setup.settings), ("stones", setup.stones)) if value}
        return {"moves": node.moves(), "sims": sims, "top": TOP} | besides

    def _drop_request(self) -> None:
        if self._request:
            engine, request = self._request
            engine.cancel(request)
        self._request = None

    # -- answers ---------------------------------------------------------------------------------------------------

    def _answered(self, kind: str, generation: int, node: Node, answer: dict) -> None:
        analysis = self._keep(node, answer)
        if analysis is None or not analysis.done:
            return
        self._request = None
        if kind == "move" and generation == self.match.generation:
            self._hold_back(self._choose(analysis, self.match.side))

    def _keep(self, node: Node, answer: dict) -> Analysis | None:
        """Attaches an answer to the position it is about; a wrong one is told and ignored."""
        try:
            if "error" in answer:
                raise ValueError(str(answer["error"]))
            analysis = from_answer(answer)
        except ValueError as error:
            self._request = None
            self.match.live = False
            self.say("status.engine_error", error=str(error)[:120])
            return None
        deeper = node.analysis and node.analysis.done and node.analysis.visits > analysis.visits
        if "value" in answer and not deeper:
            node.analysis = analysis
        return analysis

    def _choose(self, analysis: Analysis, side: Side) -> str:
        """The best move, or one drawn by visits (without a search by prior) where a temperature is set."""
        weights = {m.move: m.visits for m in analysis.moves if m.visits > 0} or analysis.policy
        if side.temperature <= 0 or not weights:
            return str(analysis.best)
        return self.random.choices(list(weights), [w ** (1 / side.temperature) for w in weights.values()])[0]

    def _hold_back(self, move: str) -> None:
        both_engines = not any(side.human for side in self.match.setup.sides)
        if both_engines:
            self._move_at = (self.now() + WATCHING_PACE, self.match.generation, move)
        else:
            self._engine_plays(move)

    def _engine_plays(self, move: str) -> None:
        if move == "resign":
            self.resign()
            return
        try:
            self._played(self.match.play_text(move))
        except ValueError:
            self.match.live = False
            self.match.generation += 1
            self.say("status.engine_illegal", move=move)

    def _reviewed(self, node: Node, answer: dict) -> None:
        analysis = self._keep(node, answer)
        if analysis is None or analysis.done:
            self.review_left = max(0, self.review_left - 1)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _played(self, node: Node) -> None:
        self.say("status.played", side=node.parent.state.to_move, move=node.text)
        if self.match.over:
            self.say_result()

    def say(self, key: str, **args) -> None:
        self.status = Status(key, args)

    def say_result(self) -> None:
        winner = self.match.winner()
        if winner is None:
            self.say("status.draw")
        elif self.match.node.ending:
            self.say(f"status.{self.match.node.ending}", side=winner)
        else:
            self.say("status.wins", side=winner)

    def _run_clock(self, now: float) -> None:
        match = self.match
        running = self.clock.used and match.live and not match.over and match.node.parent is not None
        self.clock.run(match.state.to_move if running else None, now)
        if self.clock.flag(now) is not None:
            match.resign("time")
            self.say_result()
