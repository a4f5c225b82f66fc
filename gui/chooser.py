"""The start screen: which game, who plays which colour, how strong, under what conditions."""

from dataclasses import replace
from functools import cache

import pygame

from gui import dialogs, panels, players, rects
from gui.board import BoardView
from gui.engine import PLAYS_ONLY
from gui.geometry import action_map, labels
from gui.looks import LOOKS, family, look
from gui.model import HUMAN, Setup, Side
from gui.widgets import Rect, Ui
from mcts_ext.games import make, names

SIMS = (0, 1, 10, 50, 100, 200, 400, 1000, 2000, 5000, 20000)
SECONDS = (0.5, 1, 2, 5, 10, 30)
TEMPERATURES = (0.0, 0.3, 0.6, 1.0)
CLOCKS = ((0, 0), (1, 1), (3, 2), (5, 0), (5, 5), (10, 5), (15, 10), (30, 20))
KOMI = (None, 0.5, 5.5, 6.5, 7.0, 7.5)


def known_games() -> dict[str, list[str]]:
    """Family to its games, ours first in their own order, then those of other packages."""
    found: dict[str, list[str]] = {kind: [] for kind in LOOKS}
    for name in names():
        found.setdefault(family(name), []).append(name)
    for kind, games in found.items():
        games.sort(key=lambda g: (len(g), g))
        wanted = [f"{kind}{size}" for size in look(kind).sizes]
        games[:] = [g for g in wanted if g in games] + [g for g in games if g not in wanted]
    return {kind: games for kind, games in found.items() if games}


@cache
def _handicap_fits(game: str, stones: int) -> bool:
    try:
        return bool(make(game).handicap_points(stones))
    except ValueError:
        return False


class Chooser:
    """Holds a `Setup` in the making."""

    animating = False

    def __init__(self, app):
        self.app = app
        self.games = known_games()
        settings = app.settings
        game = settings.game if settings.game in sum(self.games.values(), []) else next(iter(self.games.values()))[0]
        self.known = players.Known.here()
        self.setup = Setup(game, tuple(Side.of(player or self.known.best(game)) for player in settings.players))
        self._view: tuple | None = None

    def update(self) -> None:
        pass

    def deadline(self) -> None:
        return None

    def close(self) -> None:
        pass

    def handle(self, event) -> bool:
        if event.type != pygame.KEYDOWN:
            return False
        if event.key == pygame.K_RETURN:
            self.start()
        elif event.key == pygame.K_o and event.mod & pygame.KMOD_CTRL:
            self.app.dialog = dialogs.FileDialog(self.app, "open", self.app.load_game)
        else:
            return False
        return True

    # -- choices ---------------------------------------------------------------------------------------------------

    def choose_game(self, game: str) -> None:
        """Another game, or size; whoever was the best player of the last game gives way to the best of this one."""
        self.setup = replace(self.setup, game=game, komi=None, handicap=0, rules=(),
                             sides=self._seated(game, {}, self.known.best(self.setup.game, self.setup.settings)))

    def choose_rules(self, rules: tuple) -> None:
        self.setup = replace(self.setup, rules=rules, sides=self._seated(self.setup.game, dict(rules), ""))

    def _seated(self, game: str, rules: dict, leaving: str) -> tuple[Side, Side]:
        """The sides, with the best player for those who do not play this game."""
        able = [player for player, _ in players.options(game, self.known, self.app.ui.t, rules)]
        return tuple(s if s.human or (s.player in able and s.player != leaving)
                     else Side.of(self.known.best(game, rules)) for s in self.setup.sides)

    def choose_side(self, side: int, **changes) -> None:
        sides = list(self.setup.sides)
        sides[side] = replace(sides[side], **changes)
        self.setup = replace(self.setup, sides=tuple(sides))

    def swap(self) -> None:
        self.setup = replace(self.setup, sides=self.setup.sides[::-1])

    def start(self) -> None:
        if all(side.player.strip() for side in self.setup.sides):
            self.app.change_settings(game=self.setup.game, players=tuple(s.player for s in self.setup.sides))
            self.app.start_game(self.setup)

    # -- drawing ---------------------------------------------------------------------------------------------------

    def draw(self, ui: Ui) -> None:
        px, theme, t = ui.style.px, ui.style.theme, ui.t
        ui.surface.fill(theme.window)
        rect = ui.surface.get_rect()
        self._banner(ui, rect)
        rect = rect.inflate(-px(48), -px(36))
        title = rects.top(rect, px(48), px(12))
        for name, click in (("settings", self.app.show_settings), ("open", self._open)):
            ui.button(name, rects.right(title, px(110), px(8)).inflate(0, -px(12)), t(f"do.{name}"), click)
        if self.known.runs:
            newest = max(self.known.runs, key=lambda run: run.changed)
            ui.button("watch", rects.right(title, px(160), px(8)).inflate(0, -px(12)), t("do.watch"),
                      lambda: self.app.show_training(newest.path), tip=str(newest.path))
        ui.label(title, t("choose.title"), "huge", bold=True)
        self._game_list(ui, rects.left(rect, px(190), px(24)))
        form = rects.left(rect, min(px(470), rect.w), px(24))
        if rect.w > px(200):
            self._preview(ui, rect)
        self._form(ui, form)

    def _open(self) -> None:
        self.app.dialog = dialogs.FileDialog(self.app, "open", self.app.load_game)

    def _banner(self, ui: Ui, rect: Rect) -> None:
        if not self.app.recoverable:
            return
        px, theme = ui.style.px, ui.style.theme
        strip = rects.top(rect, px(44))
        pygame.draw.rect(ui.surface, theme.raised, strip)
        inner = strip.inflate(-px(48), -px(12))
        dismiss, go_on = rects.right(inner, px(110), px(8)), rects.right(inner, px(130), px(16))
        ui.button("discard", dismiss, ui.t("banner.discard"), self.app.discard_recovery)
        ui.button("recover", go_on, ui.t("banner.continue"), self.app.recover, primary=True)
        ui.label(inner, ui.t("banner.recover"))

    def _game_list(self, ui: Ui, rect: Rect) -> None:
        px = ui.style.px
        chosen = family(self.setup.game)
        for kind, games in self.games.items():
            title = panels.game_title(ui.t, kind)
            ui.button(f"game.{kind}", rects.top(rect, px(40), px(6)), title,
                      lambda games=games: self.choose_game(games[min(2, len(games) - 1)]), on=kind == chosen,
                      align="left")

    def _form(self, ui: Ui, rect: Rect) -> None:
        px, t, setup = ui.style.px, ui.t, self.setup
        ui.button("play", rects.bottom(rect, px(46), px(6)), t("do.play"), self.start, primary=True,
                  enabled=all(side.player.strip() for side in setup.sides), size="title")
        games = self.games[family(setup.game)]
        if len(games) > 1:
            self._row(ui, rect, t("choose.size"), "size", [(g, panels.game_title(t, g)) for g in games], setup.game,
                      self.choose_game)
        for side in (0, 1):
            self._side(ui, rect, side)
        ui.button("swap", rects.top(rect, px(32), px(16)), t("choose.swap"), self.swap)
        rule_sets = look(setup.game).rules
        if len(rule_sets) > 1:
            self._row(ui, rect, t("choose.rules"), "rules", [(r.settings, t(f"ruleset.{r.name}")) for r in rule_sets],
                      setup.rules, self.choose_rules)
        if look(setup.game).komi:
            self._komi_and_handicap(ui, rect)
        clocks = [(c, t("choose.minutes", minutes=c[0], increment=c[1]) if c[0] else t("choose.no_clock"))
                  for c in CLOCKS]
        self._row(ui, rect, t("choose.clock"), "clock", clocks, (setup.minutes, setup.increment),
                  lambda v: self._set(minutes=v[0], increment=v[1]))
        if rect.h >= px(20) and self.known.best(setup.game) == players.ROLLOUTS:
            ui.label(rects.bottom(rect, px(20)), t("choose.no_network"), "small", ui.style.theme.faint)

    def _komi_and_handicap(self, ui: Ui, rect: Rect) -> None:
        px, t, setup = ui.style.px, ui.t, self.setup
        own = make(setup.game).komi
        komi = [(k, f"{own if k is None else k:g}") for k in KOMI if k != own]
        stones = [(0, t("choose.even"))]
        stones += [(n, t("choose.stones", n=n)) for n in range(2, 10) if _handicap_fits(setup.game, n)]
        left, right = rects.columns(rects.top(rect, px(34), px(6)), 2, px(12))
        ui.label(rects.left(left, px(110)), t("choose.komi"), colour=ui.style.theme.faint)
        ui.choice("komi", left, komi, setup.komi, lambda v: self._set(komi=v))
        ui.label(rects.left(right, px(80)), t("choose.handicap"), colour=ui.style.theme.faint)
        ui.choice("handicap", right, stones, setup.handicap, self._choose_handicap)

    def _set(self, **changes) -> None:
        self.setup = replace(self.setup, **changes)

    def _choose_handicap(self, stones: int) -> None:
        self._set(handicap=stones, komi=0.5 if stones else None)

    def _row(self, ui: Ui, rect: Rect, title: str, name: str, options, value, change, bold: bool = False) -> None:
        px, theme = ui.style.px, ui.style.theme
        line = rects.top(rect, px(34), px(6))
        ui.label(rects.left(line, px(110)), title, colour=theme.text if bold else theme.faint, bold=bold)
        ui.choice(name, line, options, value, change)

    def _side(self, ui: Ui, rect: Rect, side: int) -> None:
        px, t, chosen = ui.style.px, ui.t, self.setup.sides[side]
        known = players.options(self.setup.game, self.known, t, dict(self.setup.rules))
        own = chosen.player not in [player for player, _ in known]
        options = known + [(chosen.player if own else "", t("choose.own_player"))]
        self._row(ui, rect, t(look(self.setup.game).sides[side]), f"player{side}", options, chosen.player,
                  lambda v: self.choose_side(side, **vars(Side.of(v))), bold=True)
        if own:
            line = rects.top(rect, px(34), px(6))
            rects.left(line, px(110))
            ui.text_field(f"own{side}", line, chosen.player, lambda v: self.choose_side(side, player=v),
                          hint=t("choose.bad_player"))
        if not chosen.player.startswith((HUMAN, *PLAYS_ONLY)):
            self._strength(ui, rect, side, chosen)

    def _strength(self, ui: Ui, rect: Rect, side: int, chosen: Side) -> None:
        px, t = ui.style.px, ui.t
        line = rects.top(rect, px(34), px(6))
        ui.label(rects.left(line, px(110)), t("choose.strength"), colour=ui.style.theme.faint)
        left, right = rects.left(line, round(0.6 * line.w), px(8)), line
        ui.choice(f"strength{side}", left, self._strengths(chosen), (chosen.player, chosen.sims, chosen.seconds),
                  lambda v: self.choose_side(side, player=v[0], sims=v[1], seconds=v[2]))
        temperatures = [(x, t("choose.varied", t=x) if x else t("choose.best_moves")) for x in TEMPERATURES]
        ui.choice(f"variety{side}", right, temperatures, chosen.temperature,
                  lambda v: self.choose_side(side, temperature=v))

    def _strengths(self, chosen: Side) -> list[tuple[tuple[str, int, float], str]]:
        """((player, simulations, seconds), text): the levels measured for the player's run, simulations, time. A level
        is a checkpoint of the run with a number of simulations."""
        t, folder = self.app.ui.t, players.body(chosen.player)
        run = next((run for run in self.known.runs if run.player() == folder), None)
        levels = {(run.player(level.checkpoint), level.sims, 0.0):
                  t("choose.level", n=number, elo=level.elo, error=level.error)
                  for number, level in enumerate(run.levels if run else (), 1)}
        found = {(chosen.player, n, 0.0): panels.simulations(t, n) if n else t("choose.policy_only")
                 for n in sorted({*SIMS, chosen.sims})}
        found |= {(chosen.player, chosen.sims, float(s)): t("choose.seconds", n=f"{s:g}") for s in SECONDS}
        return [*levels.items(), *(option for option in found.items() if option[0] not in levels)]

    def _preview(self, ui: Ui, rect: Rect) -> None:
        """The empty board of the chosen game."""
        if self._view is None or self._view[0] != self.setup.game:
            game = make(self.setup.game)
            view = BoardView(look(game.name), game.geometry, game.rows, game.cols, labels(game, action_map(game)))
            self._view = (self.setup.game, view, game.new_state().stones())
        _, view, stones = self._view
        square = Rect(rect.x, rect.y, rect.w, min(rect.h, rect.w))
        view.place(ui.style, square)
        view.draw_back(ui.surface, square)
        view.draw_stones(ui.surface, stones)
        view.draw_front(ui.surface, square)
