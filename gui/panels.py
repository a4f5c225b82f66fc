"""The parts of the side panel: players with clocks, tables of moves, candidates and mistakes, notes, buttons."""

from collections.abc import Callable, Sequence

import pygame

from gui import clock, rects, review
from gui.analysis import win_rate
from gui.board import piece
from gui.engine import PLAYS_ONLY
from gui.looks import family, look
from gui.model import Match, Node, Side
from gui.overlays import short
from gui.players import title
from gui.session import Session
from gui.strings import STRINGS, Translator
from gui.widgets import Rect, Ui


def game_title(t: Translator, game: str) -> str:
    """The game's name for people; a game we do not know keeps its own."""
    kind = family(game)
    if f"game.{kind}" not in STRINGS:
        return game
    size = game[len(kind):].lstrip("-")
    return t(f"game.{kind}", board=size if "x" in size or not size else f"{size}x{size}").strip()


def rules_line(t: Translator, match: Match) -> str:
    """The rules agreed on, komi included; settings that we have no words for are written as they are."""
    komi, rules = match.komi(), match.setup.rules
    known = next((r.name for r in look(match.setup.game).rules if dict(r.settings) == dict(rules)), None)
    if known is None:
        return ", ".join(f"{name} = {value}" for name, value in rules)
    return t(f"rules.{known}", komi=f"{komi:g}" if komi is not None else "")


def side_name(t: Translator, match: Match, side: int) -> str:
    return t(look(match.setup.game).sides[match.node.colour(side) - 1])


def player_name(t: Translator, side: Side) -> str:
    """`Human`, or the player's line and its strength."""
    if side.human:
        return t("human")
    name = title(side.player)
    if side.player.startswith(PLAYS_ONLY):
        return name
    strength = t("choose.seconds", n=f"{side.seconds:g}") if side.seconds else simulations(t, side.sims)
    return f"{name} · {strength if side.seconds or side.sims else t('choose.policy_only')}"


def simulations(t: Translator, n: int) -> str:
    return t("choose.one_sim" if n == 1 else "choose.sims", n=n)


def status_line(t: Translator, session: Session) -> str:
    """The last event in words, and whose turn it is."""
    match, args = session.match, dict(session.status.args)
    key = session.status.key
    if key == "status.thinking" and session.gave_up():
        key = "status.to_move"  # the banner says why nobody thinks
    if "side" in args:
        args["side"] = side_name(t, match, args["side"])
    if match.takes_colours and "black" in match.choices():
        return t("status.choose", side=side_name(t, match, match.state.to_move))
    if key == "status.wins" and (score := match.score()):
        key, args["points"] = "status.wins_by", f"{abs(score.lead):g}"
    if key == "status.wins" and (discs := match.discs()):
        key, args["points"] = "status.wins_by_discs", abs(discs[0] - discs[1])
    line = t(key, **args)
    if key in ("status.ready", "status.played") and not match.over:
        line = (line + " · " if key != "status.ready" else "") + t("status.to_move",
                                                                   side=side_name(t, match, match.state.to_move))
    return line


def players(ui: Ui, rect: Rect, session: Session, now: float) -> None:
    """Two cards: piece, name, clock; the one to move is framed and has a wedge."""
    px, theme, match = ui.style.px, ui.style.theme, session.match
    for side, card in enumerate((rects.top(rect, px(50), px(6)), rects.top(rect, px(50)))):
        to_move = match.state.to_move == side and not match.over
        ui.box(card, theme.raised if to_move else theme.panel, border=theme.accent if to_move else theme.border)
        image = piece(look(match.setup.game), px(30), match.node.colour(side))
        disc = Rect(card.x + px(12), 0, px(34), px(34))
        disc.centery = card.centery
        pygame.draw.rect(ui.surface, (214, 186, 140), disc, border_radius=px(8))
        ui.surface.blit(image, image.get_rect(center=disc.center))
        text = Rect(disc.right + px(12), card.y + px(5), card.w - px(80), px(20))
        right = rects.right(text, px(80)) if session.clock.used or match.over else Rect(0, 0, 0, 0)
        discs = match.discs()
        ui.label(text, side_name(ui.t, match, side) + (f" · {discs[side]}" if discs else ""), bold=True)
        name = Rect(text.x, card.y + px(25), card.right - text.x - px(12), px(20))
        ui.label(name, player_name(ui.t, match.setup.sides[side]), "small", theme.faint)
        if session.clock.used:
            left = session.clock.remaining(side, now)
            ui.label(Rect(right.x, card.y, right.w, card.h), clock.show(left), "title",
                     theme.bad if left < 10 else theme.text, bold=True, align="right")
        if to_move:
            x, y = card.right - px(10), card.y + px(14) if session.clock.used else card.centery
            if not session.clock.used:
                pygame.draw.polygon(ui.surface, theme.accent, [(x, y - px(6)), (x, y + px(6)), (x - px(9), y)])


def move_rows(t: Translator, match: Match) -> tuple[list[Node], list[tuple[str, str]]]:
    """The line through the present position: number, move, number of variations; the first player's win rate."""
    line = match.node.main_line()
    rates = review.curve(line)
    rows = []
    for ply, (node, rate) in enumerate(zip(line, rates, strict=True)):
        others = len(node.parent.children) - 1 if node.parent else 0
        text = f"{ply}.  {node.text}" if node.parent else t("panel.start")
        text += f"   (+{others})" if others else ""
        text += "   *" if node.comment else ""
        rows.append((text, "" if rate is None else f"{100 * rate:.0f}%"))
    return line, rows


def moves(ui: Ui, rect: Rect, session: Session) -> None:
    match = session.match
    if match.node.parent and len(match.node.parent.children) > 1:
        line = rects.bottom(rect, ui.style.px(24))
        others = ", ".join(n.text for n in match.node.parent.children if n is not match.node)
        text = ui.t("panel.variations", n=len(match.node.parent.children))
        ui.label(line, f"{text}: {others}", "small", ui.style.theme.faint)
    line, rows = move_rows(ui.t, match)
    ui.rows("moves", rect, rows, lambda i: match.go(line[i]), columns=(0.75, 0.25), selected=line.index(match.node))


def candidates(ui: Ui, rect: Rect, session: Session, hover: Callable[[str | None], None]) -> None:
    """Move, win rate, visits, prior; pointing at a row shows its line on the board, a click plays it."""
    analysis = session.match.node.analysis
    if not analysis or not analysis.moves:
        wrapped(ui, rect, ui.t("panel.waiting" if session.seeing.candidates else "panel.no_analysis"))
        return
    head = rects.top(rect, ui.style.px(22))
    value = 100 * win_rate(analysis.value)
    side = side_name(ui.t, session.match, session.match.state.to_move)
    visits = ui.t("panel.visits", visits=short(analysis.visits))
    ui.label(head, f"{ui.t('panel.win_rate', side=side)} {value:.0f}% · {visits}", "small", ui.style.theme.faint)
    if rect.h > ui.style.px(80):
        cells = rects.columns(rects.top(rect, ui.style.px(20)).inflate(-ui.style.px(12), 0), 4, 0)
        for i, (name, cell) in enumerate(zip(("move", "win", "visits", "prior"), cells, strict=True)):
            ui.label(cell, ui.t(f"table.{name}"), "small", ui.style.theme.faint,
                     align="right" if i else "left")
    rows = [(m.move, f"{100 * win_rate(m.value):.1f}%" if m.visits or not analysis.visits else "–", short(m.visits),
             f"{100 * m.prior:.1f}%")
            for m in analysis.moves]
    ui.rows("candidates", rect, rows, lambda i: session.play_text(analysis.moves[i].move),
            columns=(0.25, 0.25, 0.25, 0.25), hover=lambda i: hover(None if i is None else analysis.moves[i].move))


def mistakes(ui: Ui, rect: Rect, session: Session, start: Callable[[], None]) -> list[int]:
    """The worst moves first; a click goes to the position before. Returns their plies."""
    px, t = ui.style.px, ui.t
    line = session.match.node.main_line()
    found = review.mistakes(line)
    button = rects.bottom(rect, px(32), px(6))
    if session.review_left:
        ui.button("stop_review", button, f"{t('do.stop')} · {t('status.reviewing', left=session.review_left)}",
                  session.stop_review)
    else:
        ui.button("review", button, t("do.review"), start)
    if not found:
        wrapped(ui, rect, t("panel.no_mistakes"))
        return []
    rows = [(f"{m.node.ply}.  {m.node.text} ({m.better})", f"−{100 * m.loss:.0f}%") for m in found]
    ui.rows("mistakes", rect, rows, lambda i: session.match.go(found[i].node.parent), columns=(0.75, 0.25))
    return [m.node.ply for m in found]


def notes(ui: Ui, rect: Rect, session: Session) -> None:
    """The comment of the present position."""
    node = session.match.node
    field = rects.top(rect, ui.style.px(32), ui.style.px(8))

    def change(text: str) -> None:
        node.comment = text

    ui.text_field("comment", field, node.comment, change, hint=ui.t("panel.comment_hint"))
    wrapped(ui, rect, node.comment)


def wrapped(ui: Ui, rect: Rect, text: str, colour=None) -> None:
    line_height = ui.style.px(20)
    for i, line in enumerate(ui.style.wrap(text, rect.w - ui.style.px(8))):
        if (i + 1) * line_height > rect.h:
            break
        ui.label(Rect(rect.x + ui.style.px(4), rect.y + i * line_height, rect.w, line_height), line,
                 colour=colour or ui.style.theme.faint)


def tabs(ui: Ui, rect: Rect, names: Sequence[tuple[str, str]], current: str, change: Callable[[str], None]) -> None:
    px, theme = ui.style.px, ui.style.theme
    widths = [ui.style.font("small").size(text)[0] for _, text in names]
    spare = (rect.w - sum(widths) - px(4) * (len(names) - 1)) // len(names)
    row = rect.copy()
    for (name, text), width in zip(names, widths, strict=True):
        cell = rects.left(row, width + spare, px(4))
        ui.button(f"tab.{name}", cell, text, lambda name=name: change(name), on=name == current, size="small")
    pygame.draw.line(ui.surface, theme.border, (rect.x, rect.bottom + px(3)), (rect.right, rect.bottom + px(3)))


def buttons(ui: Ui, rect: Rect, specs: Sequence[tuple[str, str, Callable[[], None], bool]], per_row: int) -> None:
    """`specs`: (name, text, click, enabled)."""
    px = ui.style.px
    for start in range(0, len(specs), per_row):
        row = rects.top(rect, px(32), px(6))
        for (name, text, click, enabled), cell in zip(specs[start:start + per_row], rects.columns(row, per_row, px(6)),
                                                      strict=False):
            ui.button(name, cell, text, click, enabled=enabled, size="small")
