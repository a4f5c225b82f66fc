"""Heads and losses: values against their definition and PyTorch, and what a network's file holds of them."""

import numpy as np
import pytest
from stored import random_record

import nn
from nn import infer, save
from zero.config import Config, LearnerConfig, NetworkConfig, ReplayConfig, from_table
from zero.errors import UserError
from zero.games import make_game
from zero.heads import value_of
from zero.learner import Learner
from zero.losses import all_losses, softened, win_draw_loss
from zero.network import Network, load_network, save_network
from zero.replay import Batch, Replay

SMALL = {"blocks": 1, "channels": 8, "policy_channels": 4, "value_channels": 2, "value_hidden": 8}
COUNTED = {"ownership_weight": 1.5, "score_weight": 0.25}
AUXILIARY = {"reply_weight": 0.15, "soft_policy_weight": 2.0, "moves_left_weight": 0.5}


def make_batch(n=6, actions=7, planes=(6, 7, 2), seed=0):
    rng = np.random.default_rng(seed)
    legal = (rng.random((n, actions)) < 0.7).astype(np.uint8)
    legal[:, 0] = 1
    policy = rng.dirichlet(np.ones(actions), n).astype(np.float32) * legal
    policy /= policy.sum(1, keepdims=True)
    policy[0] = 0  # no target
    reply = rng.dirichlet(np.ones(actions), n).astype(np.float32)
    reply[1] = 0
    draw = rng.uniform(0, 1, n).astype(np.float32)
    value = (rng.uniform(-1, 1, n) * (1 - draw)).astype(np.float32)
    boards = (rng.random((n, *planes)) < 0.3).astype(np.float32)
    ownership, score = rng.choice([-1, 0, 1], (n, 10)).astype(np.float32), rng.normal(size=n).astype(np.float32) * 30
    ownership[2], score[2] = np.nan, np.nan  # not played to the end
    moves_left = rng.integers(1, 60, n).astype(np.float32)
    return Batch(boards, legal, policy, value, draw, reply, moves_left, ownership, score)


def make_config(**learner):
    network = SMALL | {"value_head": learner.pop("value_head", "scalar")}
    return from_table(Config, {"game": "connect4", "network": network, "learner": learner}, "test")


@pytest.mark.parametrize("outputs", [1, 3])
def test_losses_and_their_gradients_equal_pytorch(outputs):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    batch, settings = make_batch(), LearnerConfig(value_weight=1.5, **AUXILIARY, **COUNTED)
    rng = np.random.default_rng(1)
    shapes = {"policy": 7, "value": outputs, "reply": 7, "soft_policy": 7, "moves_left": 1, "ownership": 10, "score": 1}
    arrays = {name: rng.normal(size=(6, k)).astype(np.float32) * 5 for name, k in shapes.items()}
    ours = {name: nn.Tensor(a, requires_grad=True) for name, a in arrays.items()}
    theirs = {name: torch.tensor(a, requires_grad=True) for name, a in arrays.items()}

    auxiliary = {name: ours[name] for name in shapes if name not in ("policy", "value")}
    parts = all_losses(ours["policy"], ours["value"], auxiliary, batch, settings)
    total = sum(weight * loss for weight, loss in parts.values())
    total.backward()

    def cross_entropy(logits, target, legal=None):
        target = torch.tensor(target)
        if legal is not None:
            logits = logits.masked_fill(torch.tensor(legal == 0), -1e9)
        given = target.sum(1) > 0
        return functional.cross_entropy(logits[given], target[given])

    known = np.array([0, 1, 3, 4, 5])
    soft = np.where(batch.policy > 0, np.maximum(batch.policy, 1e-30) ** 0.25, 0)
    soft /= np.maximum(soft.sum(1, keepdims=True), 1e-30)
    value = theirs["value"]
    if outputs == 1:
        value_loss = functional.mse_loss(torch.tanh(value[:, 0]), torch.tensor(batch.value))
    else:
        probabilities = torch.softmax(value, 1)
        won = (1 - batch.draw + batch.value) / 2
        target = torch.tensor(np.stack([won, batch.draw, 1 - won - batch.draw], 1))
        value_loss = -(target * probabilities.log()).sum(1).mean()
    expected = (
        cross_entropy(theirs["policy"], batch.policy, batch.legal) + 1.5 * value_loss
        + 0.15 * cross_entropy(theirs["reply"], batch.reply)
        + 2.0 * cross_entropy(theirs["soft_policy"], soft.astype(np.float32), batch.legal)
        + 0.5 * functional.huber_loss(theirs["moves_left"][:, 0] / 20, torch.tensor(batch.moves_left) / 20, delta=0.5)
        + 1.5 * functional.binary_cross_entropy_with_logits(
            theirs["ownership"][known], torch.tensor((batch.ownership[known] + 1) / 2))
        + 0.25 * functional.huber_loss(theirs["score"][known, 0] / 20, torch.tensor(batch.score[known]) / 20, delta=0.6)
    )  # fmt: skip
    expected.backward()
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    for name in shapes:
        np.testing.assert_allclose(ours[name].grad, theirs[name].grad.numpy(), rtol=1e-4, atol=1e-6)


def test_targets_are_distributions_with_the_right_value():
    batch = make_batch()
    target = win_draw_loss(batch.value, batch.draw)
    assert (target >= -1e-6).all()
    np.testing.assert_allclose(target.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(target @ [1, 0, -1], batch.value, atol=1e-6)
    assert win_draw_loss(np.float32([1, 0, -1]), np.float32([0, 1, 0])).tolist() == np.eye(3).tolist()
    assert softened(batch.policy)[0].sum() == 0
    np.testing.assert_allclose(softened(batch.policy)[1:].sum(1), 1, rtol=1e-6)


def test_a_value_is_the_chance_to_win_less_that_to_lose():
    logits = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(value_of(nn.Tensor(logits)).numpy(), p[:, 0] - p[:, 2], rtol=1e-5)


@pytest.mark.parametrize("value_head", ["scalar", "wdl"])
def test_compiled_inference_equals_the_network(value_head):
    game = make_game("connect4")
    network = Network(game, NetworkConfig(**SMALL, value_head=value_head), np.random.default_rng(0)).eval()
    x = make_batch(planes=(game.rows, game.cols, game.planes)).planes
    with nn.no_grad():
        policy, value = network(nn.Tensor(x))
    ours = infer.compile(network, x.shape[1:])(x)
    assert ours[1].shape == (6,) and (np.abs(ours[1]) < 1).all()
    np.testing.assert_allclose(ours[0], policy.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours[1], value.numpy(), rtol=1e-4, atol=1e-5)


def test_the_learner_fits_all_heads_and_comes_back_from_its_checkpoint(tmp_path):
    game, config = make_game("connect4"), make_config(value_head="wdl", lr=0.1, ema=0.9, **AUXILIARY)
    batch = make_batch(planes=(game.rows, game.cols, game.planes))
    learner = Learner(game, config)
    first = learner.step(batch, 0.0)
    assert set(first.parts) == {"policy", "value", "reply", "soft_policy", "moves_left"}
    for _ in range(60):
        last = learner.step(batch, 0.0)
    assert all(last.parts[name] < first.parts[name] for name in first.parts)
    learner.save(tmp_path / "c.safetensors")
    other = Learner(game, config)
    other.load(tmp_path / "c.safetensors")
    assert learner.step(batch, 0.0) == other.step(batch, 0.0)
    assert learner.step(batch, 0.0) == other.step(batch, 0.0)


def test_auxiliary_heads_are_no_part_of_the_player(tmp_path):
    """The file, and so the speed, of a network trained with auxiliary heads is that of one without."""
    game = make_game("connect4")
    for name, config in (("with", make_config(**AUXILIARY)), ("without", make_config())):
        Learner(game, config).export(tmp_path / name, 1)
    assert (tmp_path / "with").read_bytes() == (tmp_path / "without").read_bytes()


def test_files_with_the_former_names_of_the_heads_load(tmp_path):
    game = make_game("connect4")
    network = Network(game, NetworkConfig(**SMALL), np.random.default_rng(0))
    save_network(tmp_path / "new", network, game.name)
    state = save.load(tmp_path / "new")
    former = {n.replace("policy.", "policy_").replace("value.", "value_"): a for n, a in state.items()}
    assert "policy_conv.conv.weight" in former and "value_hidden.bias" in former
    save.save(tmp_path / "old", former, save.load_metadata(tmp_path / "new"))
    for name, array in load_network(tmp_path / "old", game).state_dict().items():
        np.testing.assert_array_equal(array, state[name])


def test_heads_of_the_count_need_a_game_that_is_counted():
    with pytest.raises(UserError, match="connect4 is not counted"):
        Learner(make_game("connect4"), make_config(**COUNTED))


def test_the_learner_fits_ownership_and_score_of_go():
    game = make_game("go5")
    config = from_table(Config, {"game": "go5", "network": SMALL, "learner": COUNTED | {"lr": 0.1}}, "test")
    replay = Replay(game, ReplayConfig())
    for index in range(3):
        replay.add(random_record(game, index)[0])
    learner = Learner(game, config)
    batch = replay.batch(np.arange(0, replay.positions, 4))
    losses = [learner.step(batch, 0.0) for _ in range(60)]
    for name in ("ownership", "score"):
        assert losses[-1].parts[name] < 0.8 * losses[0].parts[name]
