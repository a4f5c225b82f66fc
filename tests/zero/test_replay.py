"""The replay window: positions rebuilt from moves equal those played, seen by the mover, in every symmetry."""

from dataclasses import replace

import numpy as np
import pytest
from stored import random_record

import zero.replay
from mcts_ext.positions import encode_positions
from zero.batch import symmetric
from zero.config import ReplayConfig
from zero.games import make_game
from zero.replay import Column, Replay, window_size

forget = Replay._forget


@pytest.mark.parametrize("name", ["tictactoe", "connect4"])
def test_positions_are_rebuilt_as_they_were_played(name):
    game = make_game(name)
    replay = Replay(game, ReplayConfig(value_lambda=1.0))
    at = 0
    for index in range(30):
        record, planes, legal, movers = random_record(game, index)
        replay.add(record)
        n = len(planes)
        batch = replay.batch(np.arange(at, at + n))
        np.testing.assert_array_equal(batch.planes, planes)
        np.testing.assert_array_equal(batch.legal, legal)
        np.testing.assert_array_equal(batch.policy.argmax(1), record.moves)
        np.testing.assert_array_equal(batch.value, [record.result if m == 0 else -record.result for m in movers])
        at += n
    assert replay.positions == at and replay.games == 30


def test_auxiliary_targets_come_from_the_rest_of_the_game():
    """The reply is the next position's policy (here: its move), the last move has none; moves left count down to 1."""
    game = make_game("connect4")
    replay = Replay(game, ReplayConfig())
    for index in range(3):
        record, *_ = random_record(game, index)
        at = np.arange(replay.positions, replay.positions + len(record.moves))
        replay.add(record)
        batch = replay.batch(at)
        np.testing.assert_array_equal(batch.reply[:-1].argmax(1), record.moves[1:])
        assert not batch.reply[-1].any() and (batch.reply[:-1].sum(1) == 1).all()
        np.testing.assert_array_equal(batch.moves_left, np.arange(len(at), 0, -1))


def test_only_the_result_counts_as_a_draw():
    game = make_game("tictactoe")
    drawn = next(r for r in (random_record(game, index)[0] for index in range(99)) if r.result == 0)
    replay = Replay(game, ReplayConfig(value_lambda=0.75))
    replay.add(drawn)
    expected = 0.75 ** np.arange(9, 0, -1)
    expected[0] = expected[1]  # the first position was not searched
    np.testing.assert_allclose(replay.batch(np.arange(9)).draw, expected, atol=1e-6)


def test_the_count_of_a_game_is_seen_by_the_mover():
    """Go: every position of a game has its owners and its margin, with the sign of who is to move."""
    game = make_game("go5")
    replay, at = Replay(game, ReplayConfig(value_lambda=1.0)), 0
    for index in range(4):
        record, _, _, movers = random_record(game, index)
        replay.add(record)
        n = len(record.moves)
        batch, at = replay.batch(np.arange(at, at + n)), at + n
        state = game.new_state()
        for move in record.moves:
            state.play(int(move))
        owners, margin = state.ownership().ravel(), state.score() * (1 if state.to_move == 0 else -1)
        for k, mover in enumerate(movers):
            mine, theirs = (1, 2) if mover == 0 else (2, 1)
            np.testing.assert_array_equal(batch.ownership[k], 1.0 * (owners == mine) - 1.0 * (owners == theirs))
            assert batch.score[k] == (margin if mover == 0 else -margin)
        np.testing.assert_array_equal(np.sign(batch.score), batch.value)
        turned = symmetric(batch, game, np.full(n, 1))
        np.testing.assert_array_equal(turned.ownership[:, game.symmetries[1][1]], batch.ownership)
    cut = replace(record, moves=record.moves[:-1], values=record.values[:-1], counts=record.counts[:-1],
                  actions=record.actions[:-1], probs=record.probs[:-1], surprises=record.surprises[:-1],
                  proven=n - 1)  # fmt: skip
    replay.add(cut)
    last = replay.batch(np.array([replay.positions - 1]))
    assert np.isnan(last.score).all() and np.isnan(last.ownership).all()


def test_replies_are_turned_with_the_board():
    game = make_game("connect4")
    record, *_ = random_record(game, 0)
    replay = Replay(game, ReplayConfig())
    replay.add(record)
    at = np.arange(len(record.moves))
    plain = replay.batch(at)
    mirrored = symmetric(plain, game, np.ones(len(at), int))
    np.testing.assert_array_equal(mirrored.reply, plain.reply[:, ::-1])
    np.testing.assert_array_equal(mirrored.policy, plain.policy[:, ::-1])
    np.testing.assert_array_equal(mirrored.planes[:, :, ::-1], plain.planes)


def test_the_winner_made_the_last_move():
    """Both sides: the position before a winning last move is worth +1 to its mover, whoever that is."""
    game = make_game("connect4")
    seen = set()
    for index in range(40):
        record, *_ = random_record(game, index)
        if record.result == 0:
            continue
        replay = Replay(game, ReplayConfig(value_lambda=1.0))
        replay.add(record)
        last = len(record.moves) - 1
        assert replay.batch(np.array([last])).value[0] == 1
        assert replay.batch(np.array([last - 1])).value[0] == -1
        seen.add(record.result)
    assert seen == {1, -1}


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_value_targets_are_lambda_returns(share):
    """Against the definition: the mean of the n-step returns, weighted (1 - lambda) lambda^(n - 1)."""
    game = make_game("connect4")
    record, _, _, movers = random_record(game, 3)
    replay = Replay(game, ReplayConfig(value_lambda=share))
    replay.add(record)
    signs = np.array([1 if mover == 0 else -1 for mover in movers])
    first_player = signs * record.values.astype(np.float64)
    n = len(movers)
    for ply in range(1, n):  # ply 0 was not searched
        steps = n - ply  # values v(ply), v(ply + 1), ..., then the result
        weights = [(1 - share) * share**k for k in range(steps)] + [share**steps]
        expected = signs[ply] * (np.dot(weights[:-1], first_player[ply:]) + weights[-1] * record.result)
        assert replay.batch(np.array([ply])).value[0] == pytest.approx(expected, abs=1e-5)
    unsearched, following = replay.batch(np.array([0, 1])).value
    assert unsearched == pytest.approx(-following)


def test_proven_values_stand_and_are_what_earlier_targets_lead_to():
    game = make_game("connect4")
    record, _, _, movers = random_record(game, 3)
    n, first = len(record.moves), len(record.moves) - 3
    values = record.values.copy()
    values[first:] = [1, 0, 1]  # whatever the result says
    replay = Replay(game, ReplayConfig(value_lambda=1.0))
    replay.add(replace(record, values=values, proven=first))
    batch = replay.batch(np.arange(n))
    np.testing.assert_array_equal(batch.value[first:], [1, 0, 1])
    np.testing.assert_array_equal(batch.draw[first:], [0, 1, 0])
    expected = [1 if mover == movers[first] else -1 for mover in movers[:first]]
    np.testing.assert_array_equal(batch.value[:first], expected)


def test_symmetric_samples_are_symmetric_positions():
    """A sampled position is one of the played ones mapped by a symmetry, its target and mask mapped alike."""
    game = make_game("tictactoe")
    replay = Replay(game, ReplayConfig())
    known = set()
    for index in range(3):
        record, planes, legal, _ = random_record(game, index)
        replay.add(record)
        for board, mask, move in zip(planes, legal, record.moves, strict=True):
            for actions, points in game.symmetries:
                mapped = np.empty_like(board.reshape(9, -1))
                mapped[points] = board.reshape(9, -1)
                new_mask = np.empty_like(mask)
                new_mask[actions] = mask
                known.add((mapped.tobytes(), new_mask.tobytes(), int(actions[move])))
    batch = replay.sample(500, np.random.default_rng(0))
    drawn = {
        (p.tobytes(), m.tobytes(), int(q.argmax()))
        for p, m, q in zip(batch.planes, batch.legal, batch.policy, strict=True)
    }
    assert drawn <= known
    assert len(drawn) > len(known) / 4


def test_the_window_grows_as_a_power():
    config = ReplayConfig(window_min=1000, window_power=0.65, window_scale=0.8, window_max=10_000)
    sizes = [window_size(n, config) for n in (10, 1000, 2000, 10_000, 10**9)]
    assert sizes[:2] == [10, 1000] and sizes[-1] == 10_000
    assert 1000 < sizes[2] < 1800 and sizes[2] < sizes[3] < 10_000
    # the slope just behind the bend is `window_scale`
    large = ReplayConfig(window_min=10**6, window_power=0.65, window_scale=0.8, window_max=10**8)
    assert (window_size(10**6 + 10**4, large) - 10**6) / 10**4 == pytest.approx(0.8, abs=0.01)


def test_samples_come_from_the_window_alone():
    game = make_game("tictactoe")
    replay = Replay(game, ReplayConfig(window_min=20, window_max=20))
    for index in range(10):
        replay.add(random_record(game, index)[0])
    recent = {p.tobytes() for p in replay.batch(np.arange(replay.positions - 20, replay.positions)).planes}
    symmetric = set()
    for data in recent:
        flat = np.frombuffer(data, np.float32).reshape(9, -1)
        for _, points in game.symmetries:
            mapped = np.empty_like(flat)
            mapped[points] = flat
            symmetric.add(mapped.tobytes())
    assert {p.tobytes() for p in replay.sample(300, np.random.default_rng(1)).planes} <= symmetric


def test_surprising_positions_are_drawn_more_often():
    """Half of the weight by surprise: frequencies equal their expectation; a game without surprises counts evenly. The
    first position, whose move was drawn at random, is not drawn."""
    game = make_game("connect4")
    replay = Replay(game, ReplayConfig(surprise_share=0.5))
    expected = []
    for index in range(4):
        record, *_ = random_record(game, index)
        n = len(record.moves)
        surprises = (np.random.default_rng(index).exponential(1, n) * (index > 0)).astype(np.float16)
        replay.add(replace(record, surprises=surprises))
        share = surprises[1:].astype(float) / surprises[1:].astype(float).mean() if index else np.ones(n - 1)
        expected += [0.0, *(0.5 + 0.5 * share)]
    drawn = np.bincount(replay.draw(200_000, np.random.default_rng(0)))
    expected = np.array(expected) / sum(expected) * 200_000
    assert (np.abs(drawn - expected) <= 6 * np.sqrt(expected)).all()


@pytest.mark.parametrize("surprise_share", [0.0, 0.5])
def test_positions_of_random_moves_are_drawn_only_if_proven(surprise_share):
    """What followed a random move says nothing of the position; a proof does."""
    game = make_game("connect4")
    record, *_ = random_record(game, 3)
    n = len(record.moves)
    values = np.full(n, 0.5, np.float16)
    values[:6] = np.nan
    values[n - 2 :] = 1
    for proven, drawn in ((n - 2, range(6, n)), (4, range(4, n))):
        values[proven:6] = 1
        replay = Replay(game, ReplayConfig(surprise_share=surprise_share))
        replay.add(replace(record, values=values, proven=proven))
        assert set(replay.draw(5000, np.random.default_rng(0))) == set(drawn)


@pytest.mark.parametrize("moves", [[0, 0], [9], [0, 3, 1, 4, 2, 5]])
def test_illegal_stored_moves_are_refused(moves):
    game = make_game("tictactoe")
    stored = np.array(moves, np.uint16)
    with pytest.raises(ValueError, match="illegal"):
        encode_positions(game, stored, np.zeros(1, np.int64), np.array([len(moves)], np.int32))


def test_positions_outside_the_stored_moves_are_refused():
    with pytest.raises(IndexError):
        game = make_game("tictactoe")
        encode_positions(game, np.array([0], np.uint16), np.zeros(1, np.int64), np.array([2], np.int32))


@pytest.mark.parametrize("name", ["connect4", "go5"])
def test_what_falls_out_of_the_window_is_forgotten_and_not_missed(monkeypatch, name):
    """The same samples, bit for bit, as from a replay that forgets nothing; the memory is that of the window."""
    game = make_game(name)
    config = ReplayConfig(window_min=100, window_max=300, surprise_share=0.5)
    monkeypatch.setattr(zero.replay, "FORGET", 1)
    short = Replay(game, config)
    monkeypatch.setattr(Replay, "_forget", lambda self: None if self is not short else forget(self))
    long = Replay(game, config)
    for index in range(120):
        record, *_ = random_record(game, index)
        for replay in (short, long):
            replay.add(record)
        a, b = (replay.sample(40, np.random.default_rng(index)) for replay in (short, long))
        for part, other in zip(vars(a).values(), vars(b).values(), strict=True):
            np.testing.assert_array_equal(part, other)
    assert short.positions == long.positions > 1500 and short.window == 300
    for column in (value for value in vars(short).values() if isinstance(value, Column)):
        assert len(column.view) < 300 + 75 + 2 * game.max_length * 26
    assert len(short._counted) < 60
