"""A run on several sizes: each game is of the size that its seed says, each sample teaches what it teaches alone."""

import dataclasses
import json

import numpy as np
import pytest
from random_batches import assert_close
from stored import random_record
from tiny_run import SETTINGS, games, train, train_with_stops, weights

from zero import backends
from zero.admission import Admission, Refused
from zero.batch import joined
from zero.cli import main
from zero.config import Config, ReplayConfig, from_table
from zero.errors import UserError
from zero.evaluator import NetworkEvaluator
from zero.games import make_game
from zero.group import LearnerGroup
from zero.learner import Learner
from zero.losses import sample_counts
from zero.planner import measure
from zero.replay import Replay
from zero.selfplay import SelfPlayWorker, game_seed
from zero.sizes import Sizes

FREE = SETTINGS["network"] | {"policy_head": "convolutional", "value_pooling": True, "pool_every": 1}
HEADS = {"reply_weight": 0.3, "soft_policy_weight": 0.5, "moves_left_weight": 0.1, "ownership_weight": 0.5,
         "score_weight": 0.2, "gradient_clip": 0.0}
SEVERAL = SETTINGS | {
    "game": "go4?history=1", "network": FREE, "learner": SETTINGS["learner"] | HEADS,
    "selfplay": SETTINGS["selfplay"] | {"sizes": {"3": 0.4, "2x3?komi=0.5": 0.1}},
}


def make_config(sizes, game="go4?history=1", **learner):
    play = {"sizes": sizes}
    return from_table(Config, {"game": game, "network": FREE, "selfplay": play, "learner": learner}, "test")


# which games there are


def test_the_seed_says_which_size_a_game_is():
    sizes = Sizes(make_config({"3": 0.3, "5": 0.0, "3x4?komi=0.5": 0.1}))
    assert [game.full_name for game in sizes.games] == ["go4?history=1", "go3?history=1", "go3x4?komi=0.5&history=1"]
    drawn = [sizes.game(game_seed(1, index)) for index in range(5000)]
    assert drawn == [sizes.game(game_seed(1, index)) for index in range(5000)]
    for game, share in zip(sizes.games, (0.6, 0.3, 0.1), strict=True):
        assert drawn.count(game) / 5000 == pytest.approx(share, abs=0.03)


def test_without_other_sizes_there_is_one_game():
    sizes = Sizes(Config(game="connect4"))
    assert sizes.games == (make_game("connect4"),) and sizes.game(game_seed(1, 7)) is sizes.own


@pytest.mark.parametrize("table, words", [
    ({"selfplay": {"sizes": {"3": 0.4}}, "network": {"value_pooling": True}}, "needs network.policy_head = 'convolut"),
    ({"selfplay": {"sizes": {"3": 0.4, "5": 0.6}}, "network": FREE}, "must be shares of 0 or more, below 1 together"),
    ({"selfplay": {"sizes": {"3": -0.4}}, "network": FREE}, "must be shares of 0 or more"),
    ({"selfplay": {"sizes": {"3": "half"}}, "network": FREE}, "selfplay.sizes.3 = 'half': must be a number"),
    ({"selfplay": {"sizes": ["3"]}, "network": FREE}, "must be a table"),
    ({"selfplay": {"sizes": {"4": 0.4}}, "network": FREE}, "selfplay.sizes: 4 is the size of go4 itself"),
    ({"selfplay": {"sizes": {"moku9": 0.4}}, "network": FREE}, "selfplay.sizes: gomoku9 has "),
    ({"selfplay": {"sizes": {"3?history=2": 0.4}}, "network": FREE}, "has other planes or moves than go4"),
    ({"selfplay": {"sizes": {"three": 0.4}}, "network": FREE}, "selfplay.sizes: unknown game 'gothree'"),
])
def test_wrong_sizes_are_refused_in_one_line(table, words):
    with pytest.raises(UserError) as caught:
        Sizes(from_table(Config, {"game": "go4?history=1"} | table, "test"))
    assert words in str(caught.value) and "\n" not in str(caught.value)


# what is learned from them


def filled(config, count=12):
    """A replay of random games of the sizes of `config`, and each game's positions as they were played."""
    sizes, played = Sizes(config), []
    replay = Replay(sizes.own, config.replay, sizes.others)
    for index in range(count):
        game = sizes.games[index % len(sizes.games)]
        record, planes, legal, movers = random_record(game, index)
        replay.add(record, game)
        played.append((game, record, planes, legal, movers))
    return replay, played


@pytest.mark.parametrize("own, others", [("go4?history=1", {"3": 0.3, "2x3": 0.3}), ("hex4?swap=true", {"3": 0.5})])
def test_samples_are_positions_of_every_size_seen_by_their_movers(own, others):
    """In every symmetry of their own board, in the corner of the largest; there is nothing outside."""
    replay, played = filled(dataclasses.replace(make_config(others, own), replay=ReplayConfig(value_lambda=1.0)))
    known = set()
    for game, record, planes, legal, movers in played:
        points, end = game.rows * game.cols, game.new_state()
        for move in record.moves:
            end.play(int(move))
        for board, mask, move, mover in zip(planes, legal, record.moves, movers, strict=True):
            for actions, places in game.symmetries:
                turned, allowed, owners = np.empty((points, game.planes)), np.empty(len(mask)), np.zeros(points)
                turned[places], allowed[actions] = board.reshape(points, -1), mask
                if own.startswith("go"):
                    whose = end.ownership().ravel()
                    owners[places] = 1.0 * (whose == mover + 1) - 1.0 * (whose == 2 - mover)
                known.add((game.rows, game.cols, turned.astype("f4").tobytes(), allowed.astype("u1").tobytes(),
                           int(actions[move]), record.result if mover == 0 else -record.result, owners.tobytes()))
    batch, seen = replay.sample(300, np.random.default_rng(0)), set()
    assert batch.mask.shape == (300, 4, 4) and batch.planes.shape[:3] == (300, 4, 4)
    for k, mask in enumerate(batch.mask):
        rows, cols = mask.any(1).sum(), mask.any(0).sum()
        assert mask[:rows, :cols].all() and mask.sum() == rows * cols
        assert not batch.planes[k][~mask].any()
        on_board = np.append(mask.ravel(), np.ones(batch.legal.shape[1] - 16, bool))
        np.testing.assert_array_equal(batch.existing[k], on_board)
        for array in (batch.legal, batch.policy, batch.reply):
            assert not array[k][~on_board].any()
        owners = np.zeros(rows * cols) if batch.ownership is None else batch.ownership[k][mask.ravel()] + 0.0
        seen.add((rows, cols, batch.planes[k][mask].tobytes(), batch.legal[k][on_board].tobytes(),
                  int(batch.policy[k][on_board].argmax()), int(batch.value[k]), owners.astype(float).tobytes()))
    assert seen <= known and {part[:2] for part in seen} == {part[:2] for part in known}
    assert len(seen) > len(known) / 5


def two_parts(replay):
    """Batches of one size each, in which every sample has every target."""
    games, at = replay.sizes, np.arange(replay.positions)
    at = at[at + 1 < replay._ends[at]]
    return [(game, replay.batch(at[replay._sizes[at] == k][:20 + 10 * k])) for k, game in enumerate(games)]


def gradients(learner):
    return {name: p.grad.copy() for part in (learner.network, learner.auxiliary) for name, p in part.named_parameters()
            if p.grad is not None}


@pytest.mark.parametrize("block, head", [("residual", "scalar"), ("preactivation", "wdl"), ("bottleneck", "scalar")])
def test_a_mixed_batch_has_the_losses_and_gradients_of_its_parts(block, head):
    """With normalisation as in play: in training its statistics are those of all points of the batch."""
    config = make_config({"3": 0.5}, **HEADS)
    network = dataclasses.replace(config.network, block=block, value_head=head, se=2)
    learner = Learner(make_game(config.game), dataclasses.replace(config, network=network))
    learner.network.eval()
    learner.auxiliary.eval()
    parts = two_parts(filled(config)[0])
    mixed = joined(parts, 4, 4)
    found, alone = [], []
    for batch in (mixed, *(batch for _, batch in parts)):
        alone.append(learner.differentiate(batch))
        found.append(gradients(learner))
    shares = np.array([len(batch.value) for _, batch in parts]) / len(mixed.value)
    assert set(sample_counts(mixed).values()) == {len(mixed.value)}
    for name, loss in alone[0].parts.items():
        assert loss == pytest.approx(shares @ [part.parts[name] for part in alone[1:]], rel=1e-4), name
    expected = {name: shares[0] * found[1][name] + shares[1] * found[2][name] for name in found[0]}
    assert_close(found[0], expected, rtol=1e-3)


def test_a_mixed_batch_is_normalised_by_all_its_points():
    config = make_config({"3": 0.5})
    parts = two_parts(filled(config)[0])
    learners = [Learner(make_game(config.game), config) for _ in range(3)]
    for learner, batch in zip(learners, (joined(parts, 4, 4), *(batch for _, batch in parts)), strict=True):
        learner.differentiate(batch)
    mixed, *alone = (learner.network.stem.norm.running_mean.numpy() for learner in learners)
    points = [len(batch.value) * game.rows * game.cols for game, batch in parts]
    np.testing.assert_allclose(mixed, np.average(alone, axis=0, weights=points), rtol=1e-4, atol=1e-6)


def test_several_learners_take_the_step_of_one_with_a_mixed_batch():
    config = make_config({"3": 0.5}, **HEADS)
    alone, group = Learner(make_game(config.game), config), LearnerGroup(backends.make("inline"), config, 2)
    replay, rng = filled(config)[0], np.random.default_rng(0)
    for _ in range(2):
        batch = replay.sample(30, rng)
        one, many = alone.step(batch, 0.5), group.step(batch, 0.5)
        assert many.parts == pytest.approx(one.parts, rel=1e-4)
    assert_close(alone.state(), group._ask(group.ranks[1], "state"))


# the whole loop


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs") / "whole", **SEVERAL)


def sizes_of(run):
    sizes = Sizes(run.config)
    return {record.index: sizes.game(record.seed) for record in run.games.read(print)}


def test_a_run_plays_and_learns_every_size(whole):
    played = list(sizes_of(whole).values())
    assert len(played) == 96 and len(set(played)) == 3
    others = Sizes(whole.config).others
    for game in others:
        assert sum(line[f"games_{game.name}"] for line in whole.metrics()) == played.count(game)
        evaluate = NetworkEvaluator.load(whole.weights_path(), game.full_name)
        state = game.new_state()
        logits, values = evaluate(state.encode()[None], state.legal()[None])
        assert logits.shape == (1, game.num_actions) and np.isfinite(values).all()
    assert whole.metrics()[-1]["ownership_loss"] > 0


def test_games_of_the_runs_own_size_are_what_they_are_without_the_others(whole, tmp_path):
    """With the network that both runs begin with."""
    alone = train(tmp_path / "alone", **SEVERAL | {"selfplay": SETTINGS["selfplay"], "budget": {"games": 24}})
    sizes, found = Sizes(whole.config), games(alone)
    own = {i: game for i, game in games(whole).items() if i < 24 and sizes.game(game_seed(1, i)) is sizes.own}
    assert 5 < len(own) < 24 and all(found[index] == game for index, game in own.items())


def test_neither_neighbours_nor_stops_change_a_run_of_several_sizes(whole, tmp_path):
    play = SEVERAL["selfplay"] | {"lanes": 3, "groups": 2, "cache": 1000}
    again, stops = train_with_stops(tmp_path / "again", 3, **SEVERAL | {"selfplay": play})
    assert stops > 1
    assert games(again) == games(whole) and weights(again) == weights(whole)


def test_stored_games_of_every_size_come_out_the_same(whole, capsys):
    assert main(["replay", str(whole.root), "1-96", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["games"]
    assert all(row["same"] for row in rows)
    assert [row["name"] for row in rows] == [game.name for _, game in sorted(sizes_of(whole).items())]
    assert main(["games", "check", str(whole.root)]) == 0
    assert main(["games", "list", str(whole.root), "--last", "96"]) == 0
    text = capsys.readouterr().out
    assert text.count("  go3: ") == [row["name"] for row in rows].count("go3") > 0


def test_a_game_of_another_size_is_refused(whole):
    admission, sizes = Admission(whole.config), Sizes(whole.config)
    small = next(record for record in whole.games.read(print) if sizes.game(record.seed).name == "go3")
    admission.admit(small.to_bytes(), small.version, {small.index})
    large, *_ = random_record(sizes.own, 1)
    fake = dataclasses.replace(large, index=small.index, seed=small.seed, values=np.zeros(len(large.moves), np.float16))
    with pytest.raises(Refused):
        admission.admit(fake.to_bytes(), 0, {small.index})


def test_proofs_and_resignation_know_the_size():
    """Go without superko: late positions are proven on their own board, and every game is admitted."""
    play = {"sims": 4, "lanes": 4, "proof_moves": 200, "resign_false_rate": 0.05, "sizes": {"2x3": 0.5}}
    config = from_table(Config, {"game": "hex3", "network": FREE, "selfplay": play}, "test")
    worker, admission = SelfPlayWorker(config), Admission(config)
    worker.version, worker._resign_threshold = 0, -0.9
    worker._evaluate = lambda planes, legal: (np.zeros(legal.shape, np.float32), np.zeros(len(legal), np.float32))
    records = [admission.admit(payload, 0, range(20)) for payload in worker.play(60, list(range(20))).records]
    proven = {worker.sizes.game(r.seed).name for r in records if r.proven < len(r.moves)}
    assert len(records) == 20 and proven == {"hex3", "hex2x3"}


def test_the_planner_measures_all_sizes():
    config = from_table(Config, SEVERAL, "test")
    speeds = measure(config, backends.make("inline"), 1, 1.0)
    assert speeds.positions_per_s and speeds.samples_per_s
