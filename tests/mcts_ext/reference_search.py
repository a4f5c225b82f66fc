"""A plain Python tree search with PUCT, written from the formulas: slow, obvious, and the judge of the fast one."""
import math

import numpy as np


class Node:
    def __init__(self, state):
        self.state = state
        self.values = []                      # of this node and all below, seen by the player to move here
        self.prior = {}
        self.children = {}

    @property
    def visits(self):
        return len(self.values)

    @property
    def mean(self):
        return sum(self.values) / len(self.values)


def search(state, evaluate, simulations, choose):
    """choose(node) -> action. Returns the root."""
    root = Node(state.copy())
    _evaluate(root, evaluate)
    for _ in range(simulations):
        path = [root]
        while True:
            node = path[-1]
            if node.state.terminal:
                value = node.state.outcome()
                node.values.append(value)
                break
            if not node.prior:
                value = _evaluate(node, evaluate)
                break
            action = choose(node)
            if action not in node.children:
                child = node.state.copy()
                child.play(action)
                node.children[action] = Node(child)
            path.append(node.children[action])
        for parent, child in zip(path[-2::-1], path[:0:-1], strict=True):
            value = value if parent.state.to_move == child.state.to_move else -value
            parent.values.append(value)
    return root


def _evaluate(node, evaluate):
    logits, values = evaluate(node.state.encode()[None], node.state.legal()[None])
    legal = node.state.legal_actions()
    weights = np.exp(logits[0][legal].astype(np.float64) - logits[0][legal].max())
    # A prior has 12 significant bits in the fast tree; the rest would decide near ties differently.
    mantissa, exponent = np.frexp(weights / weights.sum())
    node.prior = dict(zip(legal, np.ldexp(np.round(mantissa * 4096) / 4096, exponent).tolist(), strict=True))
    node.values.append(float(values[0]))
    return node.values[-1]


def q(node, action):
    """The mean value of an action as the node's player sees it."""
    child = node.children[action]
    return child.mean if child.state.to_move == node.state.to_move else -child.mean


def puct(c=1.25, factor=0.0, base=19652.0, fpu=0.2, absolute=False, stdev_weight=0.0, stdev_prior=0.4,
         prior_visits=2.0):
    """A choice by PUCT with the options of the search."""
    def choose(node):
        n = node.visits
        scale = c + (factor * math.log((1 + n + base) / base) if factor else 0)
        if stdev_weight:
            spread = sum((value - node.mean) ** 2 for value in node.values) + prior_visits * stdev_prior**2
            scale *= 1 + stdev_weight * (math.sqrt(spread / (n + prior_visits)) / stdev_prior - 1)
        visited = sum(node.prior[action] for action in node.children)
        first_play = fpu if absolute else node.mean - fpu * math.sqrt(visited)

        def score(action):
            if action in node.children:
                return q(node, action) + scale * node.prior[action] * math.sqrt(n) / (1 + node.children[action].visits)
            return first_play + scale * node.prior[action] * math.sqrt(n)
        return max(node.prior, key=score)
    return choose


def improved_policy(node, c_visit=50.0, c_scale=1.0, rescale=False):
    """{action: probability} of Danihelka et al. 2022, equation 11, with q of unvisited actions completed by v_mix."""
    total = sum(child.visits for child in node.children.values())
    v_mix = node.values[0]
    if total:
        mass = sum(node.prior[action] for action in node.children)
        mean_q = sum(node.prior[action] * q(node, action) for action in node.children) / mass
        v_mix = (node.values[0] + total * mean_q) / (1 + total)
    completed = {action: q(node, action) if action in node.children else v_mix for action in node.prior}
    if rescale:
        low, high = min([*completed.values(), v_mix]), max([*completed.values(), v_mix])
        completed = {action: (value - low) / max(high - low, 1e-8) for action, value in completed.items()}
    else:
        completed = {action: (value + 1) / 2 for action, value in completed.items()}
    most = max((child.visits for child in node.children.values()), default=0)
    logits = {action: math.log(node.prior[action]) + (c_visit + most) * c_scale * completed[action]
              for action in node.prior}
    top = max(logits.values())
    weights = {action: math.exp(logit - top) for action, logit in logits.items()}
    return {action: weight / sum(weights.values()) for action, weight in weights.items()}


def gumbel_interior(**settings):
    """The choice below the root (ibid., equation 14)."""
    def choose(node):
        policy = improved_policy(node, **settings)
        total = sum(child.visits for child in node.children.values())

        def score(action):
            return policy[action] - (node.children[action].visits if action in node.children else 0) / (1 + total)
        return max(policy, key=score)
    return choose


def sequential_halving(actions, simulations):
    """The visit counts of the actions in the order of the race, if the order never changes (Karnin et al. 2013, as in
    Danihelka et al. 2022, algorithm 2): ceil(log2 m) rounds of equal budget, half of the actions dropped after each."""
    visits, considered, left = [0] * actions, actions, simulations
    rounds = max(1, math.ceil(math.log2(actions)))
    while left:
        for _ in range(max(1, simulations // (rounds * considered))):
            for place in range(considered):
                if left:
                    visits[place] += 1
                    left -= 1
        considered = max(2, considered // 2) if considered > 1 else 1
    return visits
