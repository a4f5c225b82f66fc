"""The screen one plays on: board, side panel, overlays, keys."""

from pathlib import Path

import pygame

from gui import dialogs, panels, record, rects, review
from gui.board_area import BoardArea
from gui.graph import win_rate_graph
from gui.model import Match
from gui.session import Session
from gui.strings import STRINGS
from gui.tree import TreeView
from gui.widgets import Rect, Ui

REVIEW_SIMS = 200
SEE_KEYS = {pygame.K_F2: "candidates", pygame.K_F3: "policy", pygame.K_F4: "ownership", pygame.K_F5: "graph",
            pygame.K_F6: "numbers", pygame.K_F7: "mistakes", pygame.K_F8: "simulation", pygame.K_F9: "time"}
SEE = tuple(SEE_KEYS.values())
TABS = ("moves", "tree", "candidates", "mistakes", "notes")
MOST_CHOICES = 12
CHIP = 98  # design pixels that the name of a way of seeing needs


class GameScreen:
    """Draws and steers one session."""

    def __init__(self, app, match: Match):
        self.app = app
        self.session = Session(match, app.engines, app.settings.analyst, app.settings.analysis_sims)
        self.area = BoardArea(self.session)
        self.tab, self.tree = "moves", TreeView()
        self.typed = ""
        self.autosaved: tuple | None = None
        self.simulation = self.time_machine = None

    @property
    def match(self) -> Match:
        return self.session.match

    # -- time ------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        settings = self.app.settings
        self.session.analysis_sims = settings.analysis_sims
        self.area.confirm = settings.confirm
        self.session.update()
        self.area.update(settings.motion)
        for part in (self.simulation, self.time_machine):
            if part:
                part.update()
        self.area.path = self.simulation.path() if self.simulation else ()
        self.area.policy = self.time_machine.policy() if self.time_machine else {}
        for sound in self.match.sounds:
            self.app.sound(sound)
        self.match.sounds.clear()
        self._autosave()

    def deadline(self) -> float | None:
        times = [self.session.next_deadline(), self.area.deadline()]
        times += [part.deadline() for part in (self.simulation, self.time_machine) if part]
        if self.session.clock.running is not None:
            times.append(self.session.now() + 0.1)
        return min((t for t in times if t is not None), default=None)

    @property
    def animating(self) -> bool:
        return self.area.animating

    def close(self) -> None:
        for part in (self.simulation, self.time_machine):
            if part:
                part.close()
        self.session.close()

    def _autosave(self) -> None:
        state = (self.match.generation, self.match.node.comment)
        if state != self.autosaved and self.match.root.children:
            self.autosaved = state
            self.app.autosave(self.match)

    # -- commands --------------------------------------------------------------------------------------------------

    def toggle(self, what: str) -> None:
        """One of SEE on or off."""
        if what == "numbers":
            self.area.show_numbers = not self.area.show_numbers
        elif what == "mistakes":
            self.tab = "moves" if self.tab == "mistakes" else "mistakes"
        elif what == "simulation":
            self._toggle_simulation()
        elif what == "time":
            self._toggle_time_machine()
        else:
            setattr(self.session.seeing, what, not getattr(self.session.seeing, what))
            if what == "candidates":
                self.tab = "candidates" if self.session.seeing.candidates else "moves"

    def is_seen(self, what: str) -> bool:
        special = {"numbers": self.area.show_numbers, "mistakes": self.tab == "mistakes",
                   "simulation": self.simulation is not None, "time": self.time_machine is not None}
        return special[what] if what in special else getattr(self.session.seeing, what)

    def _toggle_simulation(self) -> None:
        from gui.simulation_panel import SimulationPanel

        if self.simulation:
            self.simulation.close()
            self.simulation, self.tab = None, "moves"
        else:
            self.simulation, self.tab = SimulationPanel(self.session), "simulation"

    def _toggle_time_machine(self) -> None:
        from gui.time_machine import TimeMachine

        if self.time_machine:
            self.time_machine.close()
            self.time_machine, self.tab = None, "moves"
        else:
            self.time_machine, self.tab = TimeMachine(self.session, self.app), "time"

    def score(self) -> None:
        """Territory on the board, the numbers in the status line."""
        score = self.match.score()
        self.area.show_score = not self.area.show_score and score is not None
        if score and self.area.show_score:
            args = {"black": score.black, "white": f"{score.white:g}"}
            if score.lead:
                self.session.say("status.score", side=0 if score.lead > 0 else 1, points=f"{abs(score.lead):g}", **args)
            else:
                self.session.say("status.even", **args)

    def open_file(self) -> None:
        self.app.dialog = dialogs.FileDialog(self.app, "open", self.app.load_game)

    def save_file(self) -> None:
        def write(path: Path) -> None:
            done = record.save(self.match, path)
            self.session.say(*("status.saved",) if done else ("status.not_written",), path=path,
                              **({} if done else {"error": path.parent}))

        self.app.dialog = dialogs.FileDialog(self.app, "save", write, record.default_name(self.match))

    def resign(self) -> None:
        if not self.match.over:
            self.app.dialog = dialogs.Confirm(self.app, "do.resign", self.session.resign)

    # -- keys ------------------------------------------------------------------------------------------------------

    def handle(self, event) -> bool:
        """Keys that no widget used."""
        if event.type == pygame.TEXTINPUT and event.text.strip() and event.text != "?":
            self.typed += event.text
            return True
        if event.type != pygame.KEYDOWN:
            return False
        action = self._control_key(event) if event.mod & pygame.KMOD_CTRL else self._plain_key(event)
        if action:
            action()
        return action is not None

    def _control_key(self, event):
        match = self.match
        return {pygame.K_z: match.undo, pygame.K_y: match.redo, pygame.K_s: self.save_file, pygame.K_o: self.open_file,
                pygame.K_UP: lambda: match.switch_variation(-1), pygame.K_DOWN: lambda: match.switch_variation(1),
                pygame.K_n: self.app.show_chooser, pygame.K_DELETE: match.delete_variation}.get(event.key)

    def _plain_key(self, event):
        match, area = self.match, self.area
        if event.key in SEE_KEYS:
            return lambda: self.toggle(SEE_KEYS[event.key])
        arrows = {pygame.K_UP: (-1, 0), pygame.K_DOWN: (1, 0), pygame.K_LEFT: (0, -1), pygame.K_RIGHT: (0, 1)}
        if event.key in arrows:
            return lambda: area.move_cursor(*arrows[event.key])
        return {pygame.K_PAGEUP: lambda: match.step(-1), pygame.K_PAGEDOWN: lambda: match.step(1),
                pygame.K_HOME: lambda: match.go(match.root),
                pygame.K_END: lambda: match.go(match.node.main_line()[-1]),
                pygame.K_RETURN: self._enter, pygame.K_KP_ENTER: self._enter, pygame.K_SPACE: self.session.pass_move,
                pygame.K_BACKSPACE: self._erase, pygame.K_ESCAPE: self._escape}.get(event.key)

    def _enter(self) -> None:
        if self.typed:
            text, self.typed = self.typed, ""
            if self.area.may_play():
                self.session.play_text(text)
        elif self.area.cursor:
            self.area.choose_square(self.area.cursor)

    def _erase(self) -> None:
        self.typed = self.typed[:-1]

    def _escape(self) -> None:
        self.typed, self.area.cursor, self.area.origin, self.area.pending = "", None, None, None

    # -- drawing ---------------------------------------------------------------------------------------------------

    def draw(self, ui: Ui) -> None:
        px, theme = ui.style.px, ui.style.theme
        rect = ui.surface.get_rect()
        ui.surface.fill(theme.window)
        self._banners(ui, rect)
        panel = rects.right(rect, min(px(372), rect.w // 2))
        pygame.draw.rect(ui.surface, theme.panel, panel)
        pygame.draw.line(ui.surface, theme.border, panel.topleft, panel.bottomleft)
        rows = 1 if rect.w >= px(CHIP) * len(SEE) else 2
        self._chips(ui, rects.bottom(rect, px(38) * rows + px(6)).inflate(-px(16), -px(12)), rows)
        self.area.draw(ui, rect.inflate(-px(16), -px(8)), self.app.settings.coordinates)
        self._panel(ui, panel.inflate(-px(28), -px(24)))

    def _banners(self, ui: Ui, rect: Rect) -> None:
        """Trouble with an engine, across the window; the board below stays usable."""
        px, theme = ui.style.px, ui.style.theme
        for number, (player, engine) in enumerate(self.app.engines.troubled()[:2]):
            strip = rects.top(rect, px(40))
            pygame.draw.rect(ui.surface, theme.bad, strip)
            inner = strip.inflate(-px(24), -px(10))
            if engine.state == "failed":
                ui.button(f"retry.{number}", rects.right(inner, px(110), px(12)), ui.t("banner.retry"), engine.restart)
            text = ui.t(f"banner.{engine.state}", player=player, problem=engine.problem)
            ui.label(inner, text, colour=theme.on_accent, bold=True)

    def _chips(self, ui: Ui, rect: Rect, rows: int) -> None:
        """What can be seen: a switch each, its key in the tip."""
        px, per_row = ui.style.px, len(SEE) // rows
        for row in range(rows):
            line = rects.top(rect, px(32), px(6))
            for i, cell in enumerate(rects.columns(line, per_row, px(6)), row * per_row):
                ui.button(f"see.{SEE[i]}", cell, ui.t(f"see.{SEE[i]}"), lambda what=SEE[i]: self.toggle(what),
                          on=self.is_seen(SEE[i]), size="small", tip=f"F{i + 2}",
                          enabled=SEE[i] != "ownership" or self.match.komi() is not None)

    def _panel(self, ui: Ui, rect: Rect) -> None:
        px, t, session = ui.style.px, ui.t, self.session
        ui.label(rects.top(rect, px(26)), panels.game_title(t, self.match.setup.game), "title", bold=True)
        ui.label(rects.top(rect, px(20), px(8)), panels.rules_line(t, self.match), "small", ui.style.theme.faint)
        panels.players(ui, rects.top(rect, px(106), px(8)), session, session.now())
        self._controls(ui, rects.bottom(rect, px(108), px(8)))
        self._choices(ui, rect)
        text = t("status.typed", text=self.typed + "_") if self.typed else panels.status_line(t, session)
        lines = ui.style.wrap(text, rect.w)[:3]
        status = rects.bottom(rect, max(px(24), px(20) * len(lines)), px(4))
        for line in lines:
            ui.label(rects.top(status, status.h if len(lines) == 1 else px(20)), line, bold=bool(self.typed))
        plies = [m.node.ply for m in review.mistakes(self.match.node.main_line())]
        if session.seeing.graph and (rect.h > px(330) or self.tab in TABS):
            line = self.match.node.main_line()
            height = px(118) if rect.h > px(330) else px(72)
            win_rate_graph(ui, rects.top(rect, height, px(8)), review.curve(line), line.index(self.match.node),
                           lambda ply: self.match.go(line[ply]), plies,
                           t("panel.win_rate", side=panels.side_name(t, self.match, 0)))
        names = [(name, t(f"tab.{name}")) for name in TABS]
        panels.tabs(ui, rects.top(rect, px(28), px(10)), names, self.tab, self._choose_tab)
        self._content(ui, rect)

    def _choose_tab(self, name: str) -> None:
        self.tab = name

    def _content(self, ui: Ui, rect: Rect) -> None:
        if self.tab == "moves":
            panels.moves(ui, rect, self.session)
        elif self.tab == "tree":
            self.tree.draw(ui, rect, self.match)
        elif self.tab == "candidates":
            panels.candidates(ui, rect, self.session, self.area.choose_line)
        elif self.tab == "mistakes":
            panels.mistakes(ui, rect, self.session, lambda: self.session.review(REVIEW_SIMS))
        elif self.tab == "notes":
            panels.notes(ui, rect, self.session)
        elif self.tab == "simulation" and self.simulation:
            self.simulation.draw(ui, rect)
        elif self.tab == "time" and self.time_machine:
            self.time_machine.draw(ui, rect)

    def _choices(self, ui: Ui, rect: Rect) -> None:
        """Buttons for what can be played but is no place on the board and no pass: swap, take Black, and the like."""
        choices = [text for text in self.match.choices() if text != "pass"] if self.area.may_play() else []
        for start in range(0, min(len(choices), MOST_CHOICES), 3):
            some = choices[start:start + 3]
            for text, cell in zip(some, rects.columns(rects.bottom(rect, ui.style.px(34), ui.style.px(6)), len(some),
                                                      ui.style.px(6)), strict=True):
                name = ui.t(f"do.{text}") if f"do.{text}" in STRINGS else text
                ui.button(f"choice.{text}", cell, name, lambda text=text: self.session.play_text(text), primary=True,
                          size="small")

    def _controls(self, ui: Ui, rect: Rect) -> None:
        t, match, session = ui.t, self.match, self.session
        named = match.actions.named
        may = self.area.may_play()
        special = []
        if "pass" in named:
            special.append(("pass", t("do.pass"), session.pass_move, may and bool(self.area.legal()[named["pass"]])))
        if match.komi() is not None:
            special.append(("score", t("do.score"), self.score, True))
        resting = not match.live and not match.over and not match.side.human
        resign = ("go_on", t("do.go_on"), match.resume, True) if resting else (
            "resign", t("do.resign"), self.resign, not match.over)
        first = [("undo", t("do.undo"), match.undo, match.node.parent is not None or bool(match.node.ending)),
                 ("redo", t("do.redo"), match.redo, bool(match.node.children)), *special, resign]
        rest = [("new", t("do.new"), self.app.show_chooser, True), ("open", t("do.open"), self.open_file, True),
                ("save", t("do.save"), self.save_file, True),
                ("settings", t("do.settings"), self.app.show_settings, True),
                ("keys", t("do.keys"), self.app.show_keys, True)]
        step = [("first", "«", lambda: match.go(match.root), True), ("back", "‹", lambda: match.step(-1), True),
                ("forward", "›", lambda: match.step(1), True),
                ("last", "»", lambda: match.go(match.node.main_line()[-1]), True)]
        panels.buttons(ui, rects.top(rect, ui.style.px(32), ui.style.px(6)), step, 4)
        panels.buttons(ui, rects.top(rect, ui.style.px(32), ui.style.px(6)), first, len(first))
        panels.buttons(ui, rects.top(rect, ui.style.px(32)), rest, 5)
