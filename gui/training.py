"""A run in training, live: its latest self-play games on small boards, its losses, strength and speed.

Only reads the run directory, so it may be opened beside any training, on this machine or over a shared folder.
"""

import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import pygame

from gui import panels, rects
from gui.board import BoardView
from gui.geometry import action_map, labels
from gui.graph import chart
from gui.looks import look
from gui.players import find_run, read_metrics
from gui.widgets import Rect, Ui
from mcts_ext.state import Game, State
from zero.config import load
from zero.errors import UserError
from zero.record import FRAME, MAGIC, GameRecord
from zero.sizes import Sizes

REFRESH = 1.0  # seconds between looks at the directory
PLY = 0.45  # seconds per move on the small boards
REST = 2.0  # seconds that a finished game stays
BOARDS = 6
TAIL = 1 << 18  # bytes of the newest segment that are read


@dataclass
class Replay:
    """A game that is being shown move by move."""

    record: GameRecord
    state: State
    ply: int
    next_at: float

    @classmethod
    def start(cls, game: Game, record: GameRecord, now: float) -> "Replay":
        return cls(record, game.new_state(), 0, now + PLY)

    def advance(self, now: float) -> bool:
        """Plays the next move when it is due; False once the finished game has been shown long enough."""
        if now < self.next_at:
            return True
        if self.ply == len(self.record.moves):
            return False
        self.state.play(int(self.record.moves[self.ply]))
        self.ply += 1
        self.next_at = now + (REST if self.ply == len(self.record.moves) else PLY)
        return True


def latest_games(folder: Path, count: int) -> list[GameRecord]:
    """The newest whole games of a run, oldest of them first. Damaged or half-written frames are passed over."""
    found: list[GameRecord] = []
    for path in sorted(folder.glob("*.seg"), reverse=True):
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            found = _frames(file.read()) + found
        if len(found) >= count:
            break
    return found[-count:]


def _frames(data: bytes) -> list[GameRecord]:
    """The records of all frames that begin in `data` and are whole."""
    found, at = [], data.find(MAGIC)
    while at >= 0 and at + FRAME.size <= len(data):
        _, length, crc = FRAME.unpack_from(data, at)
        payload = data[at + FRAME.size:at + FRAME.size + length]
        whole = len(payload) == length and zlib.crc32(payload) == crc
        if whole:
            found.append(GameRecord.from_bytes(payload))
        at = data.find(MAGIC, at + (FRAME.size + length if whole else 1))
    return found


def board_view(game: Game) -> BoardView:
    return BoardView(look(game.name), game.geometry, game.rows, game.cols, labels(game, action_map(game)))


class TrainingScreen:
    """Raises ValueError if the path is no run."""

    animating = False

    def __init__(self, app, path: Path):
        run = find_run(path)
        if run is None:
            raise ValueError(f"{path}: not a run directory (no config.toml with a game in it)")
        self.app, self.run = app, run
        try:
            self.sizes = Sizes(load(path / "config.toml"))
        except UserError as error:
            raise ValueError(str(error)) from None
        self.views = [board_view(self.sizes.own) for _ in range(BOARDS)]
        self.shown: list[Replay | None] = [None] * BOARDS
        self.metrics: list[dict] = []
        self.waiting: list[GameRecord] = []
        self._newest = -1
        self._offset = 0
        self._look_at = 0.0

    # -- time ------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + REFRESH
            self._look()
        for i, replay in enumerate(self.shown):
            if (replay is None or not replay.advance(now)) and self.waiting:
                record = self.waiting.pop(0)
                game = self.sizes.game(record.seed)
                self.views[i], self.shown[i] = board_view(game), Replay.start(game, record, now)

    def deadline(self) -> float | None:
        return min([self._look_at] + [replay.next_at for replay in self.shown if replay])

    def close(self) -> None:
        pass

    def handle(self, event) -> bool:
        if event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE:
            self.app.show_chooser()
            return True
        return False

    def _look(self) -> None:
        records, self._offset = read_metrics(self.run.path / "metrics.jsonl", self._offset)
        self.metrics += records
        self.run = find_run(self.run.path) or self.run  # its ladder may have been measured meanwhile
        new = [game for game in latest_games(self.run.path / "games", 4 * BOARDS) if game.index > self._newest]
        if new:
            self._newest = max(game.index for game in new)
            self.waiting = (self.waiting + new)[-2 * BOARDS:]

    # -- drawing ---------------------------------------------------------------------------------------------------

    def draw(self, ui: Ui) -> None:
        px, t, theme = ui.style.px, ui.t, ui.style.theme
        ui.surface.fill(theme.window)
        rect = ui.surface.get_rect().inflate(-px(32), -px(28))
        title = rects.top(rect, px(44), px(4))
        ui.button("back", rects.right(title, px(110), px(12)).inflate(0, -px(10)), t("train.back"),
                  self.app.show_chooser)
        ui.label(title, t("train.title", run=self.run.name), "huge", bold=True)
        ui.label(rects.top(rect, px(24), px(10)), self._summary(t), colour=theme.faint)
        self._charts(ui, rects.right(rect, min(px(420), rect.w // 2), px(20)))
        ui.label(rects.top(rect, px(24), px(6)), t("train.games"), bold=True)
        self._boards(ui, rect)

    def _summary(self, t) -> str:
        name = panels.game_title(t, self.run.game)
        if not self.metrics:
            return f"{name} · {t('train.nothing')}"
        last = self.metrics[-1]
        return f"{name} · " + t("train.summary", iteration=last.get("iteration", 0), games=last.get("games", 0),
                                minutes=last.get("seconds", 0) / 60)

    def _series(self, key: str) -> list[tuple[float, float]]:
        return [(float(m["iteration"]), float(m[key])) for m in self.metrics
                if isinstance(m.get(key), int | float) and "iteration" in m]

    def _charts(self, ui: Ui, rect: Rect) -> None:
        t = ui.t
        elo = [(float(step), rating) for step, (rating, _) in sorted(self.run.elo.items())]
        bars = [(float(step), error) for step, (_, error) in self.run.elo.items()]
        plots = [(t("train.losses"), [(t("train.policy"), self._series("policy_loss")),
                                      (t("train.value"), self._series("value_loss"))], ()),
                 (t("train.length"), [("", self._series("game_length"))], ()),
                 (t("train.speed"), [("", self._series("positions_per_s"))], ())]
        if elo:
            plots.insert(0, (t("train.elo"), [("", elo)], bars))
        gap = ui.style.px(10)
        height = (rect.h - gap * (len(plots) - 1)) // len(plots)
        for title, series, error_bars in plots:
            chart(ui, rects.top(rect, height, gap), title, series, error_bars)

    def _boards(self, ui: Ui, rect: Rect) -> None:
        px, per_row = ui.style.px, 3 if rect.w > rect.h * 0.9 else 2
        rows = BOARDS // per_row
        height = (rect.h - px(10) * (rows - 1)) // rows
        for start in range(0, BOARDS, per_row):
            line = rects.top(rect, height, px(10))
            for i, cell in enumerate(rects.columns(line, per_row, px(10)), start):
                self._board(ui, cell, self.views[i], self.shown[i])

    def _board(self, ui: Ui, cell: Rect, view: BoardView, replay: Replay | None) -> None:
        room = rects.bottom(cell, ui.style.px(20))
        layout = view.place(ui.style, cell, coordinates=False)
        below = round(layout.centre((layout.rows - 1, 0))[1] + 0.75 * layout.unit)  # of the board, which may be flat
        caption = Rect(room.x, min(room.y, below), room.w, room.h)
        view.draw_back(ui.surface, cell)
        if replay:
            view.draw_stones(ui.surface, replay.state.stones())
            finished = replay.ply == len(replay.record.moves)
            result = {1: ui.t(view.look.sides[0]), -1: ui.t(view.look.sides[1]), 0: ui.t("status.draw")}
            text = f"{replay.record.index} · " + (result[replay.record.result] if finished else str(replay.ply))
            ui.label(caption, text, "small", ui.style.theme.faint, align="centre")
        view.draw_front(ui.surface, cell)
