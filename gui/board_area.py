"""The board as a thing one plays on: pointer and keyboard to moves, and everything drawn on it, frame by frame."""

import time

import numpy as np
import pygame

from gui import overlays
from gui.board import BoardView
from gui.geometry import Square, labels
from gui.looks import look
from gui.model import Node
from gui.session import Session
from gui.theme import mix
from gui.widgets import Rect, Region, Ui

FALL_SECONDS = 0.32
BUBBLE_SECONDS = 3.0
NUMBERED = 30  # the last so many moves bear their numbers


class BoardArea:
    """Belongs to one session. `chosen`: the candidate whose line is shown, `line_shown`: how much of it."""

    def __init__(self, session: Session):
        match = session.match
        self.session, self.match = session, match
        self.view = BoardView(look(match.setup.game), match.game.geometry, match.game.rows, match.game.cols,
                              labels(match.game, match.actions))
        self.hover: Square | None = None
        self.pressed: Square | None = None
        self.origin: Square | None = None  # the piece chosen to step
        self.pending: Square | None = None  # a move waiting for its second press
        self.cursor: Square | None = None
        self.chosen: str | None = None
        self.line_shown = 0
        self.bubble: tuple[Square, str, float] | None = None
        self.show_numbers = self.show_score = False
        self.confirm = False
        self.path: tuple[str, ...] = ()  # a line of the simulation panel
        self.policy: dict[str, float] = {}  # of an earlier checkpoint, from the time machine
        self._seen: Node | None = match.node
        self._falls: tuple[Node, float] | None = None
        self._legal: tuple[int, np.ndarray] | None = None

    # -- what may be played ----------------------------------------------------------------------------------------

    def may_play(self) -> bool:
        """Humans move for their side, and for any side while they look around."""
        return not self.match.over and (self.match.side.human or not self.match.live)

    def legal(self) -> np.ndarray:
        if self._legal is None or self._legal[0] != self.match.generation:
            self._legal = (self.match.generation, self.match.state.legal())
        return self._legal[1]

    def _is_legal(self, square: Square, origin: Square | None = None) -> bool:
        action = self.match.action_at(square, origin)
        return action is not None and bool(self.legal()[action])

    def choose_square(self, square: Square) -> None:
        """A press (or Enter) at a square: plays there, or takes up or puts down a piece."""
        if not self.may_play():
            return
        if self.match.actions.steps:
            self._step_square(square)
        elif not self._is_legal(square):
            self._explain(square)
        elif self.confirm and self.pending != square:
            self.pending = square
        else:
            self.session.play(self.match.action_at(square))

    def _step_square(self, square: Square) -> None:
        if self.origin and self._is_legal(square, self.origin):
            self.session.play(self.match.action_at(square, self.origin))
        elif self._partners(square):
            self.origin = None if self.origin == square else square
        else:
            self._explain(square)

    def _partners(self, square: Square) -> set[Square]:
        """The squares that make a legal action together with this one: where a piece can go, or its other half."""
        legal, steps = self.legal(), self.match.actions.steps
        moves_pieces = bool(self.match.root.state.stones().any())
        return {b for (a, b), action in steps.items() if a == square and legal[action]} | {
            a for (a, b), action in steps.items() if b == square and legal[action] and not moves_pieces}

    def _explain(self, square: Square) -> None:
        self.bubble = (square, self.match.why_illegal(square, self.origin), time.monotonic() + BUBBLE_SECONDS)
        self.origin = None
        self.match.sounds.append("illegal")

    # -- events ----------------------------------------------------------------------------------------------------

    def _press(self, pos) -> None:
        self.pressed, self.cursor = self.view.layout.at(pos), None

    def _release(self, pos) -> None:
        square, pressed, self.pressed = self.view.layout.at(pos), self.pressed, None
        if pressed is None or square is None:
            return
        if square == pressed:
            self.choose_square(square)
        elif self.match.actions.steps and self._is_legal(square, pressed) and self.may_play():
            self.session.play(self.match.action_at(square, pressed))

    def _hover(self, pos) -> None:
        square = self.view.layout.at(pos) if pos else None
        if square != self.hover:
            self.hover = square
            self.choose_line(self._candidate_at(square))

    def _candidate_at(self, square: Square | None) -> str | None:
        analysis = self.match.node.analysis
        if square is None or analysis is None or not self.session.seeing.candidates:
            return None
        for move in analysis.moves:
            action = overlays.action_of(self.match, move.move)
            if action is not None and overlays.target(self.match, action) == self._shown_at(square):
                return move.move
        return None

    def _shown_at(self, square: Square) -> Square:
        """In a drop game the whole column stands for its landing place."""
        action = self.match.action_at(square)
        return (overlays.target(self.match, action) if action is not None else None) or square

    def choose_line(self, move: str | None) -> None:
        """Shows the line of a candidate, whole at first; the wheel then steps it."""
        if move != self.chosen:
            self.chosen = move
            self.line_shown = len(self._line())

    def _line(self) -> tuple[str, ...]:
        analysis = self.match.node.analysis
        return next((m.pv or (m.move,) for m in analysis.moves if m.move == self.chosen), ()) if analysis else ()

    def _wheel(self, steps: int) -> None:
        if self._line():
            self.line_shown = min(len(self._line()), max(0, self.line_shown + (1 if steps > 0 else -1)))
        else:
            self.match.step(-1 if steps > 0 else 1)

    def move_cursor(self, rows: int, cols: int) -> None:
        row, col = self.cursor or (self.match.game.rows // 2, self.match.game.cols // 2)
        if self.cursor:
            row, col = row + rows, col + cols
        self.cursor = (min(self.match.game.rows - 1, max(0, row)), min(self.match.game.cols - 1, max(0, col)))

    def update(self, motion: bool) -> None:
        """Notices that the position changed."""
        node = self.match.node
        if node is not self._seen:
            played = node.parent is self._seen and self.match.live
            self._seen, self.origin, self.pending = node, None, None
            self.chosen, self.line_shown, self.show_score = None, 0, False
            self._falls = (node, time.monotonic()) if played and motion and self.match.game.geometry == "drop" else None
            if self.hover:
                self.choose_line(self._candidate_at(self.hover))
        if self.bubble and time.monotonic() > self.bubble[2]:
            self.bubble = None
        if self._falls and time.monotonic() > self._falls[1] + FALL_SECONDS:
            self._falls = None

    @property
    def animating(self) -> bool:
        return self._falls is not None

    def deadline(self) -> float | None:
        return self.bubble[2] if self.bubble else None

    # -- drawing ---------------------------------------------------------------------------------------------------

    def draw(self, ui: Ui, area: Rect, coordinates: bool) -> None:
        style, surface, view, match = ui.style, ui.surface, self.view, self.match
        view.place(style, area, coordinates)
        view.draw_back(surface, area)
        self._pieces(surface)
        view.draw_front(surface, area)
        analysis, seeing = match.node.analysis, self.session.seeing
        self._score_marks(surface)
        if analysis and seeing.ownership and len(analysis.ownership) == match.game.rows * match.game.cols:
            owned = np.array(analysis.ownership).reshape(match.game.rows, match.game.cols)
            owned = owned if match.state.to_move == 0 else -owned
            overlays.ownership(surface, view, owned, match.state.stones())
        policy = self.policy or (analysis.policy if analysis and seeing.policy else {})
        if policy:
            overlays.heat_map(surface, style, view, match, policy)
        if self.show_numbers:
            overlays.move_numbers(surface, style, view, match, NUMBERED)
        else:
            overlays.last_move(surface, view, match)
        if self.path:
            overlays.variation(surface, style, view, match, self.path, len(self.path))
        elif analysis and seeing.candidates and not self._line_is_open():
            overlays.candidates(surface, style, view, match, analysis, self.chosen)
        if self._line_is_open():
            overlays.variation(surface, style, view, match, self._line(), self.line_shown)
        self._ghost(surface)
        self._bubble(ui)
        ui.add(Region("board", area, press=self._press, release=self._release, hover=self._hover, wheel=self._wheel,
                      focusable=False))

    def _line_is_open(self) -> bool:
        return bool(self.chosen and self.session.seeing.candidates and self._line())

    def _pieces(self, surface) -> None:
        match, view = self.match, self.view
        falling = overlays.landed(match, match.node) if self._falls and self._falls[0] is match.node else None
        view.draw_stones(surface, match.node.colours(), skip=falling)
        if falling:
            share = min(1.0, (time.monotonic() - self._falls[1]) / FALL_SECONDS)
            row = -1 + (falling[0] + 1) * share**2
            owner = int(match.node.colours()[falling])
            view.draw_piece(surface, view.layout.centre((row, falling[1])), owner)

    def _score_marks(self, surface) -> None:
        """Territory, when asked for and at the end of a game of Go."""
        if self.show_score or (self.match.over and not self.match.node.ending):
            score = self.match.score()
            if score:
                overlays.territory(surface, self.view, score.owner, self.match.state.stones())

    def _ghost(self, surface) -> None:
        view, accent = self.view, (70, 150, 255)
        spot = self.cursor or self.hover
        if self.cursor:
            overlays.cursor(surface, view, self.cursor, accent)
        if self.origin:
            self._destinations(surface, accent)
        if self.pending:
            place = self._shown_at(self.pending)
            view.draw_piece(surface, view.layout.centre(place), self._colour_at(self.pending), 190)
            overlays.cursor(surface, view, place, accent)
        if spot is None or not self.may_play() or self._line_is_open() or self.path:
            return
        if self.match.actions.steps:
            if not self.origin and self._partners(spot):
                overlays.cursor(surface, view, spot, accent)
        elif self._is_legal(spot) and (self.cursor or not self._candidate_at(spot)):  # a candidate's numbers stay
            view.draw_piece(surface, view.layout.centre(self._shown_at(spot)), self._colour_at(spot), 120)

    def _colour_at(self, square: Square) -> int:
        return self.match.stone_colour(self.match.node, self.match.action_at(square))

    def _destinations(self, surface, accent) -> None:
        overlays.cursor(surface, self.view, self.origin, accent)
        for end in self._partners(self.origin):
            overlays.veil(surface, self.view.layout.centre(end), self.view.layout.unit * 0.18, accent, 210)

    def _bubble(self, ui: Ui) -> None:
        """The reason why a move is impossible, beside the point."""
        if not self.bubble:
            return
        px, theme = ui.style.px, ui.style.theme
        x, y = self.view.layout.centre(self.bubble[0])
        size = round(self.view.layout.unit * 0.2)
        for dx in (-size, size):
            pygame.draw.aaline(ui.surface, (225, 60, 50), (x - dx, y - size), (x + dx, y + size), px(4))
        image = ui.style.text(ui.t(self.bubble[1]), colour=theme.text)
        rect = image.get_rect().inflate(px(20), px(12))
        rect.midbottom = (round(x), round(y - self.view.layout.unit * 0.45))
        rect.clamp_ip(ui.surface.get_rect().inflate(-px(8), -px(8)))
        ui.box(rect, mix(theme.panel, theme.bad, 0.18), border=theme.bad)
        ui.surface.blit(image, image.get_rect(center=rect.center))
