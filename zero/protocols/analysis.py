"""The analysis protocol: JSON lines in, JSON lines out, many positions at once, answers in any order.

    {"id": "a1", "moves": ["4", "4", "3"], "sims": 100}          look at the position after these moves
    {"id": "x", "cancel": "a1"}                                  stop that one now
    {"id": "q", "about": true}                                   who answers here

docs/protocols.md has all fields. Searches share one batch: a slice of simulations of all of them is run, then new
requests join, reports go out, finished ones leave. Bad input is answered by an error and never ends the process.
"""

import json
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from mcts_ext.games import family
from mcts_ext.search import Search
from mcts_ext.state import Game, State
from zero.arena.players import PlayerSpec
from zero.arena.seats import DEFAULT_SIMS, game_of, make_searcher, require_plays, seen_by
from zero.errors import UserError
from zero.games import counts_points, make_game
from zero.protocols.game_sgf import set_up
from zero.protocols.thinking import (
    Thoughts,
    estimate_ownership,
    read_thoughts,
)

PROTOCOL = 1
SLICE_SECONDS = 0.03  # between looks at new requests
MOST_SIMS = 1_000_000_000
MOST_DESKS = 8  # kept ready; each has a network of its own
Answer = dict[str, Any]


class RequestError(UserError):
    """A request that cannot be answered, with its id as far as it could be read."""

    def __init__(self, message: str, request_id: Any = None):
        super().__init__(message)
        self.request_id = request_id


@dataclass(frozen=True)
class Request:
    """A position to look at; `sims` 0 asks the evaluator alone."""

    id: str
    moves: tuple[str, ...] = ()
    game: str | None = None
    size: int | None = None  # another size of the game
    komi: float | None = None  # of games that have it; None: the game's own
    rules: dict | str | None = None  # settings of the game; a text: the name of a set of rules
    stones: dict | None = None  # {"black": [...], "white": [...], "to_move": "black"} before the moves
    sims: int | None = None
    time: float | None = None  # seconds at most
    report_every: float | None = None  # seconds between reports on the way
    top: int | None = None  # moves in an answer at most
    ownership: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """What `make_game` gets besides the name."""
        rules = {"rules": self.rules} if isinstance(self.rules, str) else self.rules or {}
        return rules | ({} if self.komi is None else {"komi": self.komi})


@dataclass(frozen=True)
class Cancel:
    id: str
    cancel: str


@dataclass(frozen=True)
class About:
    id: str
    about: bool


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "moves": (_is_texts, 'a list of moves, as in ["4", "4"]'),
    "game": (lambda v: isinstance(v, str), "the name of a game"),
    "size": (lambda v: isinstance(v, int) and _is_number(v, 2, 100), "a whole number, 2 or more"),
    "komi": (lambda v: _is_number(v, -1000, 1000), "points, -1000 to 1000"),
    "rules": (lambda v: isinstance(v, str) or isinstance(v, dict) and all(
        isinstance(value, (bool, int, float, str)) for value in v.values()),
        'settings of the game, as in {"opening": "swap2"}, or the name of a set of rules'),
    "stones": (lambda v: isinstance(v, dict) and all(_is_texts(v.get(side, [])) for side in ("black", "white"))
               and v.keys() <= {"black", "white", "to_move"} and v.get("to_move", "black") in ("black", "white"),
               '{"black": [...], "white": [...], "to_move": "black"}'),
    "sims": (lambda v: isinstance(v, int) and _is_number(v, 0, MOST_SIMS), f"a whole number, 0 to {MOST_SIMS}"),
    "time": (lambda v: _is_number(v, 0, 1e6), "seconds, 0 or more"),
    "report_every": (lambda v: _is_number(v, 0.001, 1e6), "seconds, 0.001 or more"),
    "top": (lambda v: isinstance(v, int) and _is_number(v, 1, 1e6), "a whole number, 1 or more"),
    "ownership": (lambda v: isinstance(v, bool), "true or false"),
    "cancel": (lambda v: isinstance(v, str), "the id of a request"),
    "about": (lambda v: v is True, "true"),
}


def parse_request(line: str) -> Request | Cancel | About:
    """One line of input. Raises RequestError with what is wrong with it."""
    try:
        table = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"not JSON: {str(error)[:200]}") from None
    if not isinstance(table, dict):
        raise RequestError('a request is an object, as in {"id": "a1", "moves": []}')
    request_id = table.pop("id", None)
    if not isinstance(request_id, str):
        raise RequestError('a request needs an "id", a string', request_id)
    kind = Cancel if "cancel" in table else About if "about" in table else Request
    known = {field.name for field in fields(kind)} - {"id"}
    for name, value in table.items():
        if name not in known:
            raise RequestError(f"unknown field '{name[:50]}'; known: {', '.join(sorted(known))}", request_id)
        is_valid, what = _FIELDS[name]
        if not is_valid(value):
            raise RequestError(f"{name} must be {what}", request_id)
    if "moves" in table:
        table["moves"] = tuple(table["moves"])
    return kind(request_id, **table)


@dataclass
class _Job:
    """A request in a slot."""

    request: Request
    state: State
    sims: int  # wanted in all
    began: float
    done: int = 0
    last_report: float = 0.0

    def due(self, now: float) -> bool:
        """It has all it wanted."""
        return self.done >= self.sims or (self.request.time is not None and now - self.began >= self.request.time)


class Desk:
    """The searches of one game: `slots` positions at once, the others wait in line."""

    def __init__(self, player: PlayerSpec, game: Game, slots: int, threads: int):
        require_plays(player, game)
        self.player, self.game = player, (game := seen_by(player, game))
        options, self.evaluate = make_searcher(player, game, threads)
        # Unlike sequential halving, PUCT can be stopped and continued at any simulation.
        self.search = Search(game, slots, replace(options, root="puct"), threads=threads)
        self.free = list(range(slots))
        self.jobs: dict[int, _Job] = {}
        self.waiting: deque[_Job] = deque()
        self._counts_points = counts_points(game)
        self._rate = 1000.0  # simulations a second of one slot

    def add(self, request: Request) -> None:
        """Takes a request in. Raises RequestError if its position cannot be reached."""
        state = _position(self.game, request)
        sims = request.sims
        if sims is None:
            sims = MOST_SIMS if request.time is not None else (
                DEFAULT_SIMS if self.player.settings.sims is None else self.player.settings.sims)
        self.waiting.append(_Job(request, state, 0 if self.player.kind == "random" else sims, time.monotonic()))

    @property
    def busy(self) -> bool:
        return bool(self.jobs or self.waiting)

    def ids(self) -> set[str]:
        return {job.request.id for job in [*self.jobs.values(), *self.waiting]}

    def cancel(self, request_id: str) -> Answer | None:
        """Ends a request with what is known of it; None if it is not here."""
        for job in self.waiting:
            if job.request.id == request_id:
                self.waiting.remove(job)
                return {"id": request_id, "done": True, "cancelled": True, "visits": 0}
        for slot, job in self.jobs.items():
            if job.request.id == request_id:
                return self._finish(slot, job) | {"cancelled": True}
        return None

    def step(self) -> Iterator[Answer]:
        """Runs one slice of all searches and yields what there is to say."""
        now = time.monotonic()
        while self.waiting and self.free:
            job, slot = self.waiting.popleft(), self.free.pop()
            job.last_report = now
            self.jobs[slot] = job
            self.search.reset(slot, job.state, seed=slot)
        sims = max(1, int(self._rate * SLICE_SECONDS))
        for slot, job in self.jobs.items():
            count = min(sims, job.sims - job.done)
            self.search.start(slot, count, noise=False)
            job.done += count
        self.search.run(self.evaluate)
        elapsed = time.monotonic() - now
        if elapsed > 0:
            self._rate = 0.5 * self._rate + 0.5 * min(10 * self._rate, sims / elapsed)
        now += elapsed
        for slot, job in list(self.jobs.items()):
            if job.state.terminal or job.due(now):
                yield self._finish(slot, job)
            elif job.request.report_every and now - job.last_report >= job.request.report_every:
                job.last_report = now
                yield self._answer(slot, job, done=False)

    def fail(self, error: Exception) -> Iterator[Answer]:
        """The evaluator broke down: nobody in a slot gets an answer."""
        for slot, job in list(self.jobs.items()):
            del self.jobs[slot]
            self.free.append(slot)
            yield {"id": job.request.id, "error": f"the search broke down: {error}"}

    def _finish(self, slot: int, job: _Job) -> Answer:
        del self.jobs[slot]
        self.free.append(slot)
        return self._answer(slot, job, done=True)

    def _answer(self, slot: int, job: _Job, done: bool) -> Answer:
        answer: Answer = {"id": job.request.id, "done": done, "to_move": job.state.to_move + 1}
        if job.state.terminal:
            return answer | {"over": True, "value": job.state.outcome(), "visits": 0, "moves": [], "policy": {}}
        thoughts = read_thoughts(self.search, slot)
        answer |= self._thoughts(thoughts, job.request.top)
        answer["seconds"] = round(time.monotonic() - job.began, 3)
        if job.request.ownership and thoughts.visits and self._counts_points:
            answer["ownership"] = estimate_ownership(job.state, thoughts.moves[0].pv).round(3).ravel().tolist()
        return answer

    def _thoughts(self, thoughts: Thoughts, top: int | None) -> Answer:
        text = self.game.action_to_text
        moves = [{"move": text(move.action), "visits": move.visits, "prior": round(move.prior, 5),
                  "value": round(move.value, 4), "pv": [text(action) for action in move.pv]}
                 for move in thoughts.moves[:top]]
        policy = {text(move.action): round(move.prior, 5) for move in thoughts.moves}
        return {"best": text(thoughts.best), "value": round(thoughts.value, 4),
                "raw_value": round(thoughts.raw_value, 4), "visits": thoughts.visits, "moves": moves, "policy": policy}


def _position(game: Game, request: Request) -> State:
    stones = request.stones or {}
    try:
        sides = [[game.text_to_action(text) for text in stones.get(side, [])] for side in ("black", "white")]
        state = set_up(game, *sides, to_move=int(stones.get("to_move") == "white")) if stones else game.new_state()
    except (ValueError, UserError) as error:
        raise RequestError(f"stones: {error}", request.id) from None
    for number, text in enumerate(request.moves, 1):
        try:
            state.play(game.text_to_action(text))
        except ValueError as error:
            raise RequestError(f"move {number}: {error}", request.id) from None
    return state


class AnalysisServer:
    """Answers requests with one player; `send` gets every answer."""

    def __init__(self, player: PlayerSpec, send: Callable[[Answer], None], game: str | None = None, slots: int = 64,
                 threads: int = 1):
        self.player, self.send, self.slots, self.threads = player, send, slots, threads
        self.game = game or game_of(player)
        self.desks: dict[str, Desk] = {}  # by the game's full name
        if self.game:
            self._desk(self.game)  # a network that cannot be loaded is told at once, not at the first request

    def _desk(self, name: str, settings: dict[str, Any] | None = None) -> Desk:
        game = make_game(name, **settings or {})
        if game.full_name not in self.desks:
            desk = Desk(self.player, game, self.slots, self.threads)
            idle = [key for key, known in self.desks.items() if not known.busy]
            for old in idle[: len(self.desks) - MOST_DESKS + 1]:
                del self.desks[old]
            self.desks[game.full_name] = desk
        return self.desks[game.full_name]

    def serve(self, lines: Iterable[str]) -> None:
        """Reads requests to the end of `lines`, answers all of them and returns."""
        arrived: queue.SimpleQueue[str | None] = queue.SimpleQueue()

        def read() -> None:
            for line in lines:
                arrived.put(line)
            arrived.put(None)

        threading.Thread(target=read, daemon=True).start()
        ended = False
        while not ended or self.busy:
            ended = self._take_in(arrived, ended)
            for desk in self.desks.values():
                if desk.busy:
                    self._step(desk)

    @property
    def busy(self) -> bool:
        return any(desk.busy for desk in self.desks.values())

    def _take_in(self, arrived: queue.SimpleQueue, ended: bool) -> bool:
        """Handles what has arrived, waiting only when there is nothing else to do; True after the end of input."""
        while not ended:
            try:
                line = arrived.get(block=not self.busy)
            except queue.Empty:
                break
            if line is None:
                return True
            if line.strip():
                self.handle(line)
        return ended

    def handle(self, line: str) -> None:
        """Takes one line of input."""
        try:
            request = parse_request(line)
            if isinstance(request, Cancel):
                self._cancel(request)
            elif isinstance(request, About):
                self.send(self._about() | {"id": request.id})
            else:
                self._accept(request)
        except RequestError as error:
            self.send({"id": error.request_id, "error": str(error)})

    def _accept(self, request: Request) -> None:
        if any(request.id in desk.ids() for desk in self.desks.values()):
            raise RequestError("a request of this id is under way", request.id)
        name = request.game or self.game
        if not name:
            raise RequestError('which game? Add "game", as in "connect4"', request.id)
        if request.size is not None:
            name = f"{family(name)}{request.size}"
        try:
            self._desk(name, request.settings).add(request)
        except RequestError:
            raise
        except UserError as error:
            raise RequestError(str(error), request.id) from None

    def _cancel(self, request: Cancel) -> None:
        for desk in self.desks.values():
            if answer := desk.cancel(request.cancel):
                self.send(answer)
                self.send({"id": request.id, "done": True})
                return
        raise RequestError(f"there is no request '{request.cancel[:50]}' to cancel", request.id)

    def _about(self) -> Answer:
        return {"done": True, "protocol": PROTOCOL, "player": str(self.player), "game": self.game}

    def _step(self, desk: Desk) -> None:
        try:
            for answer in desk.step():
                self.send(answer)
        except Exception as error:
            for answer in desk.fail(error):
                self.send(answer)


def serve_stdio(player: PlayerSpec, game: str | None, slots: int, threads: int) -> None:
    """Serves on stdin and stdout until the end of input; bytes that are no UTF-8 become an error, not a crash."""
    sys.stdin.reconfigure(errors="replace")
    sys.stdout.reconfigure(encoding="utf-8")

    def send(answer: Answer) -> None:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    AnalysisServer(player, send, game, slots, threads).serve(sys.stdin)
