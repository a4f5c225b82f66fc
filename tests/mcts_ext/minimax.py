"""Exhaustive search by the rules alone, to judge the tree search."""
import random


def negamax(state, known):
    """The game-theoretic value for the player to move; `known` remembers positions by what is on the board."""
    if state.terminal:
        return state.outcome()
    key = (state.to_move, state.stones().tobytes())
    if key not in known:
        best = -1
        for action in state.legal_actions():
            child = state.copy()
            child.play(action)
            value = negamax(child, known)
            best = max(best, value if child.to_move == state.to_move else -value)
            if best == 1:
                break
        known[key] = best
    return known[key]


def action_values(state, known):
    """{legal action: its game-theoretic value for the player to move}"""
    values = {}
    for action in state.legal_actions():
        child = state.copy()
        child.play(action)
        value = negamax(child, known)
        values[action] = value if child.to_move == state.to_move else -value
    return values


def all_positions(game):
    """Every position of a small game that is not over, each once."""
    found, frontier = {}, [game.new_state()]
    while frontier:
        state = frontier.pop()
        key = (state.to_move, state.stones().tobytes())
        if state.terminal or key in found:
            continue
        found[key] = state
        for action in state.legal_actions():
            child = state.copy()
            child.play(action)
            frontier.append(child)
    return list(found.values())


def one_of_each_kind(positions):
    """One position of each class that the game's symmetries make."""
    kinds = {}
    for state in positions:
        stones = state.stones().ravel()
        images = []
        for _, points in state.game.symmetries:
            image = stones.copy()
            image[points] = stones
            images.append(image.tobytes())
        kinds.setdefault(min(images), state)
    return list(kinds.values())


def endgames(game, count, empty, seed=0):
    """Positions of random games with at most `empty` points left, not over."""
    rng = random.Random(seed)
    found = []
    while len(found) < count:
        state = game.new_state()
        while not state.terminal:
            if (state.stones() == 0).sum() <= empty:
                found.append(state)
                break
            state.play(rng.choice(state.legal_actions()))
    return found
