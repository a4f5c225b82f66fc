"""What earlier checkpoints of a run think of the present position, and playing against one of them."""

import time
from collections import OrderedDict

from gui import panels, rects
from gui.analysis import Analysis, first_player_value, from_answer, win_rate
from gui.graph import chart
from gui.model import Side
from gui.players import Run, run_of
from gui.session import Engines, Session
from gui.widgets import Rect, Ui

CURVE_POINTS = 12  # checkpoints asked for the curve
KEPT_ENGINES = 2


class TimeMachine:
    """One engine process per checkpoint, at most two at a time; answers are kept per checkpoint and position."""

    def __init__(self, session: Session, app):
        self.session, self.app = session, app
        self.run = self._find_run()
        self.steps = self.run.checkpoints if self.run else ()
        self.index = len(self.steps) - 1
        self.answers: dict[tuple[int, tuple[str, ...]], Analysis] = {}
        self.engines = Engines(app.engines.wake, app.engines.command)
        self.problem = ""
        self._order: OrderedDict[str, None] = OrderedDict()
        self._asking: tuple[int, tuple[str, ...]] | None = None

    def _find_run(self) -> Run | None:
        """The run of the engine that plays or analyses here, if it has checkpoints."""
        players = [side.player for side in self.session.match.setup.sides] + [self.session.analyst]
        runs = [run_of(player) for player in players if player != "human"]
        return next((run for run in runs if run and run.checkpoints), None)

    # -- time ------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        self.engines.poll()
        troubled = [e.problem for _, e in self.engines.troubled() if e.state == "failed"]
        self.problem = troubled[0] if troubled else ""
        if self._asking is None and not self.problem and (wanted := self._wanted()) is not None:
            self._ask(wanted)

    def deadline(self) -> float | None:
        return self.engines.next_deadline() or (time.monotonic() + 0.2 if self._asking else None)

    def close(self) -> None:
        self.engines.close()

    def _here(self) -> tuple[str, ...]:
        return tuple(self.session.match.node.moves())

    def _wanted(self) -> int | None:
        """The checkpoint to ask next: the chosen one first, then those of the curve."""
        if not self.steps or self.session.match.over:
            return None
        spread = {round(i * (len(self.steps) - 1) / max(1, CURVE_POINTS - 1)) for i in range(CURVE_POINTS)}
        order = [self.steps[self.index]] + [self.steps[i] for i in sorted(spread, reverse=True)]
        return next((step for step in order if (step, self._here()) not in self.answers), None)

    def _ask(self, step: int) -> None:
        key = self._asking = (step, self._here())
        player, game = self.run.player(step), self.session.match.setup.game
        engine = self.engines.get(player, game)
        self._order[player] = None
        self._order.move_to_end(player)
        while len(self._order) > KEPT_ENGINES:
            self.engines.drop(self._order.popitem(last=False)[0], game)

        def receive(answer: dict) -> None:
            try:
                analysis = from_answer(answer)
            except ValueError:
                analysis = Analysis(done=True)
            if analysis.done or "error" in answer:
                self.answers[key] = analysis
                self._asking = None

        engine.ask(self.session.payload(self.session.match.node, 0), receive)

    # -- what it shows ---------------------------------------------------------------------------------------------

    def analysis(self) -> Analysis | None:
        return self.answers.get((self.steps[self.index], self._here())) if self.steps else None

    def policy(self) -> dict[str, float]:
        """The chosen checkpoint's policy for the present position."""
        analysis = self.analysis()
        return analysis.policy if analysis else {}

    def play_it(self) -> None:
        """The engine's side is taken over by the chosen checkpoint."""
        match, player = self.session.match, self.run.player(self.steps[self.index])
        sides = [side if side.human else Side(player, side.sims, side.seconds, side.temperature)
                 for side in match.setup.sides]
        if all(side.human for side in sides):
            sides[1 - match.state.to_move] = Side.of(player)
        match.with_sides(tuple(sides))

    def _curve(self) -> list[tuple[float, float]]:
        here, mover = self._here(), self.session.match.state.to_move
        return [(float(step), 100 * win_rate(first_player_value(self.answers[step, here].value, mover)))
                for step in self.steps if (step, here) in self.answers]

    def draw(self, ui: Ui, rect: Rect) -> None:
        px, t, theme = ui.style.px, ui.t, ui.style.theme
        ui.label(rects.top(rect, px(24), px(4)), t("time.title"), bold=True)
        if not self.steps:
            panels.wrapped(ui, rect, t("time.none"))
            return
        step = self.steps[self.index]
        ui.slider("time.slider", rects.top(rect, px(28), px(4)), self.index, 0, len(self.steps) - 1, self._choose)
        rating = self.run.elo.get(step)
        text = t("time.at", step=step) + (" · " + t("time.elo", elo=rating[0], error=rating[1]) if rating else "")
        ui.label(rects.top(rect, px(22)), text)
        side, analysis = panels.side_name(t, self.session.match, 0), self.analysis()
        if analysis:
            value = first_player_value(analysis.value, self.session.match.state.to_move)
            line = t("time.value", side=side, rate=100 * win_rate(value))
        else:
            line = self.problem or t("time.loading", step=step)
        ui.label(rects.top(rect, px(22), px(6)), line, colour=theme.text)
        ui.button("time.play", rects.bottom(rect, px(34), px(8)), t("time.play"), self.play_it)
        best = sorted(self.policy().items(), key=lambda item: -item[1])[:3]
        moves = "   ".join(f"{move}: {100 * share:.0f}%" for move, share in best)
        ui.label(rects.top(rect, px(22), px(6)), moves, colour=theme.faint)
        if rect.h > px(90):
            title = t("panel.win_rate", side=side)
            chart(ui, Rect(rect.x, rect.y, rect.w, min(rect.h, px(220))), title, [("", self._curve())],
                  scale=(0.0, 100.0))

    def _choose(self, index: int) -> None:
        self.index = index
