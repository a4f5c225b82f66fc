"""The drawn game tree: where its nodes lie, and that a click goes to one."""

import random

import pytest
from window_driver import pygame

from gui.model import Match, Setup
from gui.record import nodes
from gui.tree import lanes


def grown(seed: int, moves: int = 60) -> Match:
    """A match with variations at random places."""
    match, rng = Match(Setup("connect4")), random.Random(seed)
    for _ in range(moves):
        match.go(rng.choice(list(nodes(match.root))))
        if not match.over:
            match.play(int(rng.choice(match.state.legal_actions())))
    return match


@pytest.mark.parametrize("seed", range(20))
def test_nodes_have_places_of_their_own_and_branches_do_not_cross(seed):
    match = grown(seed)
    places = lanes(match.root)
    found = list(nodes(match.root))
    assert set(places) == set(found) and len(set(places.values())) == len(found)
    taken = set(places.values())
    for node in found[1:]:
        (ply, lane), (above, upper) = places[node], places[node.parent]
        assert ply == node.ply == above + 1
        first = node is node.parent.children[0]
        assert lane == upper if first else lane > upper
        assert not any((above, between) in taken for between in range(upper + 1, lane + 1))


def test_the_main_line_is_the_first_lane_even_of_a_very_long_game():
    match = Match(Setup("go9"))
    for _ in range(100):
        match.play_text("pass") if match.node.parent and match.node.ply % 2 else match.play(
            int(match.state.legal_actions()[0]))
    assert set(lanes(match.root).values()) == {(ply, 0) for ply in range(101)}


def at(driver, node):
    """The place on the screen of a node."""
    return driver.app.ui.regions[f"tree.{list(driver.app.screen.tree.places).index(node)}"].rect.center


def test_a_click_in_the_tree_goes_there(window):
    driver = window("connect4", players=("human", "human"), mode="silent")
    driver.match.setup = Setup("connect4")
    for move in "44":
        driver.type(move)
    first = driver.match.node
    driver.key(pygame.K_PAGEUP)
    driver.type("3")
    driver.press("tab.tree")
    driver.click(at(driver, first))
    assert driver.match.node is first
    driver.click(at(driver, driver.match.root))
    assert driver.match.node is driver.match.root


def test_the_present_move_stays_in_view_and_dragging_looks_elsewhere(window):
    driver = window("gomoku9", players=("human", "human"), mode="silent")
    match = driver.match
    match.setup = Setup("gomoku9")
    driver.press("tab.tree")
    for action in (0, 2, 4, 6, 8, 1, 3, 5, 7, 18, 20, 22, 24, 26, 19, 21, 23, 25):
        match.play(action)
    driver.app.draw()
    tree = driver.app.ui.regions["tree"].rect
    assert tree.contains(driver.app.ui.regions[f"tree.{match.node.ply}"].rect) and "tree.0" not in driver.app.ui.regions
    driver.drag((tree.x + 30, tree.bottom - 30), (tree.right - 10, tree.bottom - 30))
    assert "tree.0" in driver.app.ui.regions
    driver.click(at(driver, match.root))
    assert match.node is match.root
