"""A small widget kit. Widgets are declared afresh at every drawing; each leaves a region (rectangle, callbacks) behind,
and events are answered by the regions of the last drawing. Input comes from events alone, never from polled devices,
so that a scripted session is a real one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pygame

from gui.strings import Translator
from gui.theme import Style

Rect = pygame.Rect
LEFT, WHEEL = 1, pygame.MOUSEWHEEL


@dataclass
class Region:
    """What a widget answers to. Callbacks get positions in window pixels."""

    name: str
    rect: Rect
    click: Callable[[], None] | None = None
    drag: Callable[[tuple[int, int]], None] | None = None  # while the left button is held, from the press on
    wheel: Callable[[int], None] | None = None
    key: Callable[[pygame.event.Event], bool] | None = None  # while focused; True: the event is used up
    press: Callable[[tuple[int, int]], None] | None = None
    release: Callable[[tuple[int, int]], None] | None = None
    hover: Callable[[tuple[int, int] | None], None] | None = None  # None when the pointer leaves
    focusable: bool = True
    tip: str = ""


@dataclass
class TextState:
    """An edited line: the text and the caret's index."""

    text: str = ""
    caret: int = 0


@dataclass
class Ui:
    """The kit: `begin`, declare widgets, `finish`; `handle` feeds events to the regions of the last drawing.

    `t` translates the keys of the string table.
    """

    style: Style
    t: Translator = field(default_factory=Translator)
    regions: dict[str, Region] = field(default_factory=dict)
    surface: pygame.Surface | None = None
    focus: str | None = None
    focus_visible: bool = False
    pointer: tuple[int, int] | None = None
    hovered: str | None = None
    held: str | None = None
    _next: dict[str, Region] = field(default_factory=dict)
    _fields: dict[str, TextState] = field(default_factory=dict)
    _scroll: dict[str, int] = field(default_factory=dict)
    _popup: tuple | None = None
    _draw_popup: Callable[[], None] | None = None
    _modal_from: int = 0

    # -- one drawing ---------------------------------------------------------------------------------------------

    def begin(self, surface: pygame.Surface) -> None:
        self.surface, self._next, self._draw_popup, self._modal_from = surface, {}, None, 0

    def finish(self) -> None:
        """Draws what lies on top (open list, tooltip) and makes this drawing's regions the live ones."""
        if self._draw_popup:
            self._draw_popup()
        else:
            self._popup = None
        live = list(self._next.values())[self._modal_from:]
        self.regions = {region.name: region for region in live}
        if self.focus not in self.regions:
            self.focus = None
        if self.held not in self.regions:
            self.held = None
        self._draw_tip()

    def modal(self) -> None:
        """Regions declared before this call do not answer: what follows is a dialog over them."""
        self._modal_from = len(self._next)
        self._popup, self._draw_popup = (self._popup if self._popup else None), None

    def add(self, region: Region) -> Region:
        self._next[region.name] = region
        return region

    def is_hot(self, name: str) -> bool:
        return self.hovered == name and (self.held in (None, name))

    # -- events --------------------------------------------------------------------------------------------------

    def at(self, pos: tuple[int, int]) -> Region | None:
        """The topmost region under a position."""
        return next((r for r in reversed(self.regions.values()) if r.rect.collidepoint(pos)), None)

    def handle(self, event: pygame.event.Event) -> bool:
        """Returns whether a widget used the event."""
        if event.type == pygame.MOUSEMOTION:
            return self._moved(event.pos)
        if event.type == pygame.MOUSEBUTTONDOWN and event.button == LEFT:
            return self._pressed(event.pos)
        if event.type == pygame.MOUSEBUTTONUP and event.button == LEFT:
            return self._released(event.pos)
        if event.type == WHEEL and self.pointer:
            return self._wheeled(event.y)
        if event.type in (pygame.KEYDOWN, pygame.TEXTINPUT):
            return self._typed(event)
        if event.type == pygame.WINDOWLEAVE:
            self._moved((-1, -1))
        return False

    def _moved(self, pos) -> bool:
        self.pointer = pos
        region = self.at(pos)
        name = region.name if region else None
        if self.hovered != name:
            old = self.regions.get(self.hovered)
            if old and old.hover:
                old.hover(None)
            self.hovered = name
        if self.held and (drag := self.regions[self.held].drag):
            drag(pos)
        elif region and region.hover:
            region.hover(pos)
        return True

    def _pressed(self, pos) -> bool:
        self._moved(pos)
        region = self.at(pos)
        if self._popup and not (region and region.name.startswith(self._popup[0] + ".")):
            self._popup = None
            return True
        self.held = region.name if region else None
        self.focus_visible = False
        self.focus = region.name if region and region.focusable and (region.click or region.key) else None
        if region and region.press:
            region.press(pos)
        if region and region.drag:
            region.drag(pos)
        return region is not None

    def _released(self, pos) -> bool:
        name, self.held = self.held, None
        region = self.regions.get(name)
        if region is None:
            return False
        if region.release:
            region.release(pos)
        if region.click and region.rect.collidepoint(pos):
            region.click()
        self._moved(pos)
        return True

    def _wheeled(self, steps: int) -> bool:
        for region in reversed(self.regions.values()):
            if region.wheel and region.rect.collidepoint(self.pointer):
                region.wheel(steps)
                return True
        return False

    def _typed(self, event) -> bool:
        focused = self.regions.get(self.focus)
        if focused and focused.key and focused.key(event):
            return True
        if event.type != pygame.KEYDOWN:
            return False
        if event.key == pygame.K_TAB:
            self._move_focus(-1 if event.mod & pygame.KMOD_SHIFT else 1)
            return True
        if event.key == pygame.K_ESCAPE and self._popup:
            self._popup = None
            return True
        if focused and focused.click and self.focus_visible and event.key in (pygame.K_RETURN, pygame.K_SPACE):
            focused.click()
            return True
        return False

    def _move_focus(self, step: int) -> None:
        names = [r.name for r in self.regions.values() if r.focusable and (r.click or r.key)]
        if names:
            here = names.index(self.focus) if self.focus in names else (-1 if step > 0 else 0)
            self.focus, self.focus_visible = names[(here + step) % len(names)], True

    # -- drawing helpers -----------------------------------------------------------------------------------------

    def label(self, rect: Rect, text: str, size="body", colour=None, bold=False, align="left") -> None:
        """One line, vertically centred, shortened to the rectangle's width."""
        image = self.style.text(self.style.fit(text, rect.w, size, bold), size, colour, bold)
        x = {"left": rect.x, "centre": rect.centerx - image.get_width() // 2, "right": rect.right - image.get_width()}
        self.surface.blit(image, (x[align], rect.centery - image.get_height() // 2))

    def box(self, rect: Rect, colour, radius: float = 6, border=None) -> None:
        pygame.draw.rect(self.surface, colour, rect, border_radius=self.style.px(radius))
        if border:
            pygame.draw.rect(self.surface, border, rect, width=self.style.px(1), border_radius=self.style.px(radius))

    def _ring(self, name: str, rect: Rect) -> None:
        if self.focus == name and self.focus_visible:
            px = self.style.px
            pygame.draw.rect(self.surface, self.style.theme.accent, rect.inflate(px(4), px(4)), width=px(2),
                             border_radius=px(8))

    def _draw_tip(self) -> None:
        region = self.regions.get(self.hovered)
        if not region or not region.tip or self.held or self._popup:
            return
        px, theme = self.style.px, self.style.theme
        image = self.style.text(region.tip, "small")
        rect = image.get_rect().inflate(px(16), px(10))
        rect.midbottom = (region.rect.centerx, region.rect.top - px(4))
        if rect.top < 0:
            rect.top = region.rect.bottom + px(4)
        rect.clamp_ip(self.surface.get_rect())
        self.box(rect, theme.panel, border=theme.border)
        self.surface.blit(image, image.get_rect(center=rect.center))

    # -- widgets -------------------------------------------------------------------------------------------------

    def button(self, name: str, rect: Rect, text: str, click: Callable[[], None], *, on: bool = False,
               primary: bool = False, enabled: bool = True, tip: str = "", size="body", align="centre") -> None:
        theme = self.style.theme
        fill = theme.accent if (primary or on) else theme.hover if self.is_hot(name) and enabled else theme.raised
        ink = theme.on_accent if (primary or on) else theme.text if enabled else theme.faint
        if not enabled:
            fill, ink = theme.panel, theme.faint
        self.box(rect, fill, border=theme.border if not (primary or on) else None)
        self.label(rect.inflate(-self.style.px(12), 0), text, size, ink, bold=primary, align=align)
        self._ring(name, rect)
        self.add(Region(name, rect, click=click if enabled else None, focusable=enabled, tip=tip))

    def toggle(self, name: str, rect: Rect, text: str, value: bool, change: Callable[[bool], None], tip="") -> None:
        """A switch with its text at the right; the knob's place and a tick tell its state, not colour alone."""
        px, theme = self.style.px, self.style.theme
        track = Rect(rect.x, rect.centery - px(9), px(34), px(18))
        self.box(track, theme.accent if value else theme.raised, 9, None if value else theme.faint)
        knob = (track.right - px(9), track.centery) if value else (track.x + px(9), track.centery)
        pygame.draw.aacircle(self.surface, theme.on_accent if value else theme.faint, knob, px(6))
        self.label(Rect(track.right + px(8), rect.y, rect.right - track.right - px(8), rect.h), text)
        self._ring(name, rect)
        self.add(Region(name, rect, click=lambda: change(not value), tip=tip))

    def slider(self, name: str, rect: Rect, value: int, low: int, high: int, change: Callable[[int], None],
               tip="") -> None:
        """Whole numbers from `low` to `high`; drag, click, wheel, or arrow keys while focused."""
        px, theme = self.style.px, self.style.theme
        radius = px(8)
        left, width = rect.x + radius, max(1, rect.w - 2 * radius)
        x = left + round(width * (value - low) / max(1, high - low))
        bar = Rect(left, rect.centery - px(2), width, px(4))
        self.box(bar, theme.raised, 2, theme.border)
        self.box(Rect(bar.x, bar.y, x - left, bar.h), theme.accent, 2)
        pygame.draw.aacircle(self.surface, theme.accent, (x, rect.centery), radius)
        pygame.draw.aacircle(self.surface, theme.on_accent, (x, rect.centery), px(3))
        self._ring(name, rect)

        def step(amount: int) -> None:
            new = min(high, max(low, value + amount))
            if new != value:
                change(new)

        def drag(pos) -> None:
            step(low + round((pos[0] - left) / width * (high - low)) - value)

        def key(event) -> bool:
            amount = {pygame.K_LEFT: -1, pygame.K_RIGHT: 1, pygame.K_PAGEDOWN: -10, pygame.K_PAGEUP: 10}.get(
                getattr(event, "key", None))
            if amount and event.type == pygame.KEYDOWN:
                step(amount)
            return bool(amount)

        self.add(Region(name, rect, drag=drag, wheel=step, key=key, tip=tip))

    def choice(self, name: str, rect: Rect, options: Sequence[tuple[object, str]], value,
               change: Callable[[object], None]) -> None:
        """A drop-down list of (value, text)."""
        px, theme = self.style.px, self.style.theme
        index = next((i for i, (v, _) in enumerate(options) if v == value), 0)
        is_open = bool(self._popup and self._popup[0] == name)

        def toggle() -> None:
            self._popup = None if is_open else (name,)

        def step(amount: int) -> None:
            change(options[(index + amount) % len(options)][0])

        def key(event) -> bool:
            amount = {pygame.K_UP: -1, pygame.K_DOWN: 1}.get(getattr(event, "key", None))
            if amount and event.type == pygame.KEYDOWN and options:
                step(amount)
            return bool(amount)

        self.box(rect, theme.hover if self.is_hot(name) else theme.raised, border=theme.border)
        inner = rect.inflate(-px(20), 0)
        text = options[index][1] if options else ""
        self.label(Rect(inner.x, inner.y, inner.w - px(16), inner.h), text)
        x, y = inner.right - px(5), rect.centery
        pygame.draw.polygon(self.surface, theme.faint, [(x - px(5), y - px(2)), (x + px(5), y - px(2)), (x, y + px(4))])
        self._ring(name, rect)
        self.add(Region(name, rect, click=toggle, key=key))
        if is_open:
            self._draw_popup = lambda: self._list_popup(name, rect, options, index, change)

    def _list_popup(self, name, rect, options, index, change) -> None:
        px, theme = self.style.px, self.style.theme
        row, window = rect.h, self.surface.get_rect()
        visible = max(1, min(len(options), 12, (window.h - px(16)) // row))
        area = Rect(rect.x, rect.bottom + px(2), rect.w, row * visible)
        if area.bottom > window.h:
            area.bottom = max(area.h, rect.top - px(2))
        top = min(max(0, self._scroll.get(name, max(0, index - visible + 1))), len(options) - visible)

        def wheel(steps: int) -> None:
            self._scroll[name] = min(max(0, top - steps), len(options) - visible)

        self.box(area, theme.panel, border=theme.border)
        self.add(Region(name + ".list", area, wheel=wheel, focusable=False))
        for line, (value, text) in enumerate(options[top:top + visible]):
            item, item_name = Rect(area.x, area.y + line * row, area.w, row), f"{name}.{top + line}"

            def pick(value=value) -> None:
                self._popup = None
                self._scroll.pop(name, None)
                change(value)

            if self.is_hot(item_name) or top + line == index:
                self.box(item, theme.hover if self.is_hot(item_name) else theme.raised)
            self.label(item.inflate(-px(20), 0), text, bold=top + line == index)
            self.add(Region(item_name, item, click=pick, focusable=False))
        self._scroll_bar(area, top, visible, len(options))

    def _scroll_bar(self, area: Rect, top: int, visible: int, total: int) -> None:
        """Where the visible rows lie among all, if not all are visible."""
        px = self.style.px
        if total > visible:
            height = max(px(16), area.h * visible // total)
            y = area.y + (area.h - height) * top // (total - visible)
            self.box(Rect(area.right - px(4), y, px(4), height), self.style.theme.faint, 2)

    def text_field(self, name: str, rect: Rect, text: str, change: Callable[[str], None], *, hint: str = "",
                   submit: Callable[[], None] | None = None) -> None:
        """A line of text; Ctrl+V pastes, Enter submits."""
        px, theme = self.style.px, self.style.theme
        state = self._fields.setdefault(name, TextState(text, len(text)))
        if state.text != text:
            state.text, state.caret = text, len(text)
        focused = self.focus == name
        self.box(rect, theme.window, border=theme.accent if focused else theme.border)
        inner = rect.inflate(-px(16), -px(4))
        font = self.style.font()
        caret_x = font.size(text[:state.caret])[0]
        shift = max(0, caret_x - inner.w + px(2))
        image = self.style.text(text or hint, colour=theme.text if text else theme.faint)
        old_clip = self.surface.get_clip()
        self.surface.set_clip(inner.clip(old_clip))
        self.surface.blit(image, (inner.x - (shift if text else 0), inner.centery - image.get_height() // 2))
        if focused:
            pygame.draw.rect(self.surface, theme.accent, (inner.x + caret_x - shift, inner.y + px(3), px(2),
                                                          inner.h - px(6)))
        self.surface.set_clip(old_clip)
        self.add(Region(name, rect, key=lambda event: _edit(state, event, change, submit)))

    def rows(self, name: str, rect: Rect, texts: Sequence[tuple[str, ...]], pick: Callable[[int], None], *,
             columns: Sequence[float] = (1.0,), selected: int | None = None, hover: Callable | None = None) -> None:
        """A scrolling table; `columns` are shares of the width, the first left-aligned and the others right-aligned."""
        px, theme = self.style.px, self.style.theme
        row = px(24)
        visible = max(1, rect.h // row)
        most = max(0, len(texts) - visible)
        top = min(self._scroll.get(name, 0), most)
        if selected is not None and self._scroll.get(name + ".seen") != selected:
            top = min(most, max(0, min(top, selected), selected - visible + 1))
            self._scroll[name], self._scroll[name + ".seen"] = top, selected

        def wheel(steps: int) -> None:
            self._scroll[name] = min(max(0, top - steps), most)

        self.add(Region(name, rect, wheel=wheel, focusable=False))
        for line, cells in enumerate(texts[top:top + visible]):
            index = top + line
            item, item_name = Rect(rect.x, rect.y + line * row, rect.w, row), f"{name}.{index}"
            if index == selected or self.is_hot(item_name):
                self.box(item, theme.hover if self.is_hot(item_name) else theme.raised, 4)
            x = item.x + px(6)
            for column, (cell, share) in enumerate(zip(cells, columns, strict=False)):
                width = round((item.w - px(12)) * share)
                self.label(Rect(x, item.y, width - px(4) * (column == 0), row), cell,
                           align="left" if column == 0 else "right")
                x += width
            self._ring(item_name, item)
            over = (lambda pos, index=index: hover(index if pos else None)) if hover else None
            self.add(Region(item_name, item, click=lambda index=index: pick(index), hover=over))
        self._scroll_bar(rect, top, visible, len(texts))


def _edit(state: TextState, event, change, submit) -> bool:
    """Applies one key or text event to an edited line."""
    text, caret = state.text, state.caret
    if event.type == pygame.TEXTINPUT:
        text, caret = text[:caret] + event.text + text[caret:], caret + len(event.text)
    elif event.key == pygame.K_RETURN:
        if submit:
            submit()
        return True
    elif event.key == pygame.K_BACKSPACE:
        text, caret = text[:max(0, caret - 1)] + text[caret:], max(0, caret - 1)
    elif event.key == pygame.K_DELETE:
        text = text[:caret] + text[caret + 1:]
    elif event.key in (pygame.K_LEFT, pygame.K_RIGHT):
        caret = min(len(text), max(0, caret + (1 if event.key == pygame.K_RIGHT else -1)))
    elif event.key in (pygame.K_HOME, pygame.K_END):
        caret = 0 if event.key == pygame.K_HOME else len(text)
    elif event.key == pygame.K_v and event.mod & pygame.KMOD_CTRL:
        pasted = (pygame.scrap.get_text()).replace("\n", " ")
        text, caret = text[:caret] + pasted + text[caret:], caret + len(pasted)
    else:
        return event.key not in (pygame.K_TAB, pygame.K_ESCAPE) and not event.mod & pygame.KMOD_CTRL
    changed = text != state.text
    state.text, state.caret = text, caret
    if changed:
        change(text)
    return True
