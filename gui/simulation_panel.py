"""Shows one simulation step by step: the four phases, the tree along the path, and the path on the board."""

import pygame

from gui import panels, rects
from gui.analysis import from_answer
from gui.session import Session
from gui.simulation import PHASES, Simulation, TreeNode
from gui.widgets import Rect, Ui

PACE = 0.9  # seconds per step while running
WIDEST = 5  # children drawn per node


class SimulationPanel:
    """Follows the session's present position."""

    def __init__(self, session: Session):
        self.session = session
        self.running = False
        self.problem = ""
        self._requests: list = []
        self._next_at = 0.0
        self._reset()

    def _reset(self) -> None:
        self.generation = self.session.match.generation
        self.simulation = Simulation(self.session.match.state, self._evaluate)
        self.simulation.advance()

    def _evaluate(self, moves: list[str], answered) -> None:
        """Asks the network alone (no search) about a position below the present one."""
        session = self.session
        engine = session.engines.get(session.analysis_player(), session.match.setup.game)
        payload = session.payload(session.match.node, 0)
        payload["moves"] = payload["moves"] + moves

        def receive(answer: dict) -> None:
            try:
                if "error" in answer:
                    raise ValueError(answer["error"])
                analysis = from_answer(answer)
            except ValueError as error:
                self.problem, self.running = str(error), False
                return
            if analysis.done:
                answered(analysis)
                self.simulation.advance()

        self._requests.append((engine, engine.ask(payload, receive)))

    def close(self) -> None:
        for engine, request in self._requests:
            engine.cancel(request)
        self._requests.clear()

    # -- time ------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        if self.generation != self.session.match.generation:
            self.close()
            self._reset()
        now = self.session.now()
        if self.running and now >= self._next_at and not self.simulation.waiting:
            self._next_at = now + PACE
            self.advance()

    def deadline(self) -> float | None:
        return self._next_at if self.running else None

    def advance(self) -> None:
        """One visible step; the steps that only ask are gone through at once."""
        if self.simulation.advance() is None and not self.simulation.waiting:
            self.running = False

    def path(self) -> tuple[str, ...]:
        """The moves to the node of the present step."""
        step = self.simulation.step
        return tuple(step.node.moves()) if step else ()

    # -- drawing ---------------------------------------------------------------------------------------------------

    def draw(self, ui: Ui, rect: Rect) -> None:
        px, t, theme, simulation = ui.style.px, ui.t, ui.style.theme, self.simulation
        phase = simulation.step.phase if simulation.step else ""
        cells = [cell for _ in range(2) for cell in rects.columns(rects.top(rect, px(28), px(4)), 2, px(6))]
        for number, (name, cell) in enumerate(zip(PHASES, cells, strict=True), 1):
            on = name == phase
            ui.box(cell, theme.raised if on else theme.panel, 5, theme.accent if on else theme.border)
            ui.label(cell.inflate(-px(14), 0), f"{number}. {t(f'sim.{name}')}", bold=on,
                     colour=theme.text if on else theme.faint)
        buttons = rects.bottom(rect, px(34), px(8))
        left, right = rects.columns(buttons, 2, px(8))
        ui.button("sim.step", left, t("sim.step"), self.advance, enabled=not self.running)
        ui.button("sim.run", right, t("sim.pause" if self.running else "sim.run"), self._toggle, on=self.running)
        text = self.problem or (t("sim.waiting") if simulation.waiting else "")
        if not text and simulation.step:
            text = t(simulation.step.key, **simulation.step.args)
        ui.label(rects.top(rect, px(20)), t("sim.count", n=simulation.count), "small", theme.faint)
        panels.wrapped(ui, rects.top(rect, px(42), px(4)), text, theme.text)
        self._tree(ui, rect)

    def _toggle(self) -> None:
        self.running = not self.running
        self._next_at = 0.0

    def _tree(self, ui: Ui, rect: Rect) -> None:
        """The nodes of the path, level by level, each among its most visited siblings: move, N, Q."""
        px, theme, step = ui.style.px, ui.style.theme, self.simulation.step
        path = [] if step is None else _line(step.node)
        height = px(54)
        levels = min(len(path) + 1, (rect.h - px(10)) // height)
        if levels < 1:
            return
        above = (rect.centerx, rect.y + px(8))
        pygame.draw.aacircle(ui.surface, theme.accent, above, px(7))
        node = self.simulation.root
        for level in range(levels):
            chosen = path[level] if level < len(path) else None
            shown = _shown(node, chosen)
            if not shown:
                break
            below = above
            for child, cell in zip(shown, rects.columns(Rect(rect.x, rect.y + px(26) + level * height, rect.w, px(36)),
                                                        max(len(shown), 3), px(4)), strict=False):
                on = child is chosen
                ink = theme.accent if on else theme.border
                pygame.draw.aaline(ui.surface, ink, above, cell.midtop, px(3) if on else 1)
                ui.box(cell, theme.raised if child.visits else theme.panel, 5, ink)
                upper = Rect(cell.x, cell.y + px(1), cell.w, px(17))
                lower = upper.move(0, px(16))
                ui.label(upper, child.move, "small", bold=on, align="centre")
                ui.label(lower, _numbers(child), 10, theme.faint, align="centre")
                below = cell.midbottom if on else below
            if chosen is None:
                break
            above, node = below, chosen


def _numbers(node: TreeNode) -> str:
    """N and Q of a visited node, the prior of another."""
    return f"{node.visits}  {node.q:+.2f}" if node.visits else f"P {100 * node.prior:.0f}%"


def _line(node: TreeNode) -> list[TreeNode]:
    """The nodes from below the root to this one."""
    line = []
    while node.parent:
        line.append(node)
        node = node.parent
    return line[::-1]


def _shown(node: TreeNode, chosen: TreeNode | None) -> list[TreeNode]:
    """The most visited (then most probable) children, `chosen` among them, in the order of the game's actions."""
    best = sorted(node.children, key=lambda c: (c is chosen, c.visits, c.prior), reverse=True)[:WIDEST]
    return [child for child in node.children if child in best]
