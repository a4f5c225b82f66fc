"""The searches that `zero bench search` measures ours against. Each is a function without arguments that makes one
search of every game from the start position and returns the number of simulations."""

import importlib
from collections.abc import Callable

from zero.bench.rules import openspiel_name
from zero.errors import UserError

PGX = {"tictactoe": "tic_tac_toe", "connect4": "connect_four", "go9": "go_9x9", "go19": "go_19x19",
       "othello8": "othello", "hex11": "hex"}


def _import(name: str):
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"{name} is not installed; pip install {name.split('.')[0]}, or leave out the option") from None


def openspiel(name: str, sims: int, evaluator: str, seed: int) -> Callable[[], int]:
    """rollout: MCTSBot in C++, one rollout a leaf. uniform: MCTSBot in Python, which alone takes an evaluator."""
    try:
        import pyspiel
    except ImportError:
        raise UserError("OpenSpiel is not installed; pip install open_spiel, or leave out --vs-openspiel") from None
    if evaluator not in ("uniform", "rollout"):
        raise UserError("--vs-openspiel is measured with --evaluator uniform or rollout")
    game = pyspiel.load_game(openspiel_name(name))
    state = game.new_initial_state()
    if evaluator == "rollout":
        rollouts = pyspiel.RandomRolloutEvaluator(1, seed)
        bot = pyspiel.MCTSBot(game, rollouts, 1.25, sims, 1000, False, seed, False)
        return lambda: bot.mcts_search(state).explore_count
    import numpy as np

    mcts = _import("open_spiel.python.algorithms.mcts")

    class Uniform(mcts.Evaluator):
        def evaluate(self, state):
            return np.zeros(2)

        def prior(self, state):
            actions = state.legal_actions()
            return [(action, 1 / len(actions)) for action in actions]

    bot = mcts.MCTSBot(game, 1.25, sims, Uniform(), solve=False, random_state=np.random.RandomState(seed),
                       child_selection_fn=mcts.SearchNode.puct_value)
    return lambda: bot.mcts_search(state).explore_count


def mctx(name: str, games: int, sims: int, root: str, evaluator: str) -> Callable[[], int]:
    """mctx's policies on pgx's rules, compiled, equal priors and value 0."""
    jax, jnp, search, pgx = (_import(module) for module in ("jax", "jax.numpy", "mctx", "pgx"))
    if name not in PGX or evaluator != "uniform":
        raise UserError(f"--vs-mctx is measured with --evaluator uniform and one of {', '.join(PGX)}")
    env = pgx.make(PGX[name])
    start = jax.vmap(env.init)(jax.random.split(jax.random.PRNGKey(0), games))
    policy = search.muzero_policy if root == "puct" else search.gumbel_muzero_policy

    def logits(state):
        return jnp.where(state.legal_action_mask, 0.0, jnp.finfo(jnp.float32).min)

    def recurrent(params, rng, action, state):
        mover = state.current_player
        state = jax.vmap(env.step)(state, action)
        reward = state.rewards[jnp.arange(games), mover]
        output = search.RecurrentFnOutput(
            reward=reward, discount=jnp.where(state.terminated, 0.0, -1.0), prior_logits=logits(state),
            value=jnp.zeros(games))
        return output, state

    @jax.jit
    def run(key):
        first = search.RootFnOutput(prior_logits=logits(start), value=jnp.zeros(games), embedding=start)
        return policy(None, key, first, recurrent, sims, invalid_actions=~start.legal_action_mask).action

    keys = iter(jax.random.split(jax.random.PRNGKey(1), 1_000_000))

    def work() -> int:
        run(next(keys)).block_until_ready()
        return games * sims

    return work
