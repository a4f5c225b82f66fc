"""Optimisers, learning rates and averages of a run: as written in its settings, and exact over a checkpoint."""

import re
from dataclasses import replace

import numpy as np
import pytest

from nn import save
from zero.cli import main
from zero.config import Config, LearnerConfig, from_table
from zero.errors import UserError
from zero.games import make_game
from zero.learner import Learner
from zero.network import load_network
from zero.optimizers import learning_rate
from zero.replay import Batch

SMALL = {"blocks": 1, "channels": 8, "policy_channels": 4, "value_channels": 2, "value_hidden": 8}
GAME = make_game("tictactoe")


def make_learner(**settings):
    return Learner(GAME, from_table(Config, {"game": "tictactoe", "network": SMALL, "learner": settings}, "test"))


def make_batch(n=16):
    rng = np.random.default_rng(0)
    policy = rng.dirichlet(np.ones(9), n).astype(np.float32)
    boards = (rng.random((n, 3, 3, GAME.planes)) < 0.4).astype(np.float32)
    value = rng.uniform(-1, 1, n).astype(np.float32)
    return Batch(boards, np.ones((n, 9), np.uint8), policy, value, np.zeros(n, np.float32), policy,
                 np.ones(n, np.float32))  # fmt: skip


@pytest.mark.parametrize("optimizer, lr", [("sgd", 0.1), ("adam", 0.01), ("adamw", 0.01), ("muon", 0.05)])
def test_every_optimizer_learns_and_comes_back_from_a_checkpoint(optimizer, lr, tmp_path):
    batch, learner = make_batch(), make_learner(optimizer=optimizer, lr=lr, schedule="constant")
    losses = [learner.step(batch, 0.0) for _ in range(40)]
    assert losses[-1].parts["policy"] < losses[0].parts["policy"] - 0.02
    assert losses[-1].parts["value"] < losses[0].parts["value"] / 2
    assert learner.lr == lr
    learner.save(tmp_path / "c.safetensors")
    other = make_learner(optimizer=optimizer, lr=lr, schedule="constant")
    other.load(tmp_path / "c.safetensors")
    for _ in range(3):
        assert learner.step(batch, 0.5) == other.step(batch, 0.5)


def test_muon_has_the_blocks_and_adamw_the_rest():
    learner = make_learner(optimizer="muon")
    (muon, _), (rest, share) = learner.optimizer.parts
    assert sorted(p.shape for p in muon.parameters) == [(3, 3, 8, 8), (3, 3, 8, 8)]
    assert len(muon.parameters) + len(rest.parameters) == len(learner.parameters)
    learner.optimizer.lr = 0.02
    assert rest.lr == pytest.approx(0.001) == pytest.approx(0.02 * share)


def test_learning_rates():
    cosine = LearnerConfig(lr=1.0, final_lr=0.1)
    assert [learning_rate(cosine, p, 0) for p in (0, 0.5, 1)] == pytest.approx([1, 0.55, 0.1])
    drops = LearnerConfig(lr=1.0, final_lr=0.01, schedule="drops", drops=(0.5, 0.9))
    assert [learning_rate(drops, p, 0) for p in (0, 0.49, 0.5, 0.95)] == pytest.approx([1, 1, 0.1, 0.01])
    constant = LearnerConfig(lr=1.0, schedule="constant", warmup_steps=4)
    assert [learning_rate(constant, 0.7, s) for s in (0, 1, 3, 9)] == pytest.approx([0.25, 0.5, 1, 1])


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"schedule": "drops", "drops": [0.9, 0.5]}, "ascending"),
        ({"schedule": "drops", "drops": []}, "ascending"),
        ({"ema": 0.9, "swa": 0.2}, "choose one"),
        ({"warmup_steps": -1}, "0 or more"),
    ],
)
def test_wrong_settings_are_refused(settings, words):
    with pytest.raises(UserError, match=words):
        from_table(Config, {"learner": settings}, "test")


def test_swa_publishes_the_mean_of_the_last_share(tmp_path):
    batch, learner = make_batch(), make_learner(lr=0.1, swa=0.5)
    kept = []
    for progress in (0.0, 0.4, 0.5, 0.8, 0.9):
        learner.step(batch, progress)
        if progress >= 0.5:
            kept.append(learner.network.state_dict())
        learner.export(tmp_path / "n.safetensors", 1)
        if progress < 0.5:  # until then the newest weights play
            for name, array in save.load(tmp_path / "n.safetensors").items():
                np.testing.assert_array_equal(array, learner.network.state_dict()[name])
        learner.save(tmp_path / "c.safetensors")
        learner = make_learner(lr=0.1, swa=0.5)
        learner.load(tmp_path / "c.safetensors")
    published = load_network(tmp_path / "n.safetensors", GAME).state_dict()
    for name, array in published.items():
        np.testing.assert_allclose(array, np.mean([state[name] for state in kept], 0), rtol=1e-4, atol=1e-6)


def test_a_nan_names_its_tensor_and_leaves_the_weights_alone():
    learner, batch = make_learner(), make_batch()
    assert learner.step(batch, 0.0).culprit is None
    before = {name: t.data.copy() for name, t in learner.network.named_parameters()}
    losses = learner.step(replace(batch, value=np.full(16, np.nan, np.float32)), 0.0)
    assert losses.culprit.startswith("the value loss (gradient of ") and losses.culprit.endswith(" more)")
    assert all((t.data == before[name]).all() for name, t in learner.network.named_parameters())
    learner.network.policy.out.bias.data[3] = np.inf
    assert learner.step(batch, 0.0).culprit.startswith("the policy loss (policy.out.bias and ")


def test_a_run_that_diverges_stops_in_words_with_its_last_checkpoint(tmp_path, capsys):
    run = tmp_path / "run"
    words = ["train", "configs/tictactoe.toml", "--run", str(run), "--games", "100", "--workers", "1",
             "--learner.lr", "1e30", "--learner.gradient_clip", "0", "--selfplay.games", "20", "--selfplay.sims", "4",
             "--network.blocks", "1"]  # fmt: skip
    assert main(words) == 2
    message = capsys.readouterr().err
    assert re.search(r"(loss|gradient) \(.+\) is not finite at step \d+; .* last good state is checkpoint", message)
    kept = list(run.glob("**/*.safetensors"))
    assert kept and all(np.isfinite(a).all() for path in kept for a in save.load(path).values())
