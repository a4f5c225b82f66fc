"""Resignation in self-play: only below the threshold, never in games played on, and calibrated on those."""

from dataclasses import replace

import numpy as np
import pytest
from stored import random_record

from zero.admission import Admission
from zero.config import Config, SelfPlayConfig
from zero.games import make_game
from zero.record import GameRecord
from zero.resignation import ENOUGH, NEVER, Calibration, plays_on
from zero.selfplay import SelfPlayWorker, game_seed

SETTINGS = SelfPlayConfig(sims=4, lanes=8, resign_false_rate=0.05, resign_moves=2, resign_play_on=0.5)


def play(threshold):
    """40 games of Connect Four by a network that always says that the first player has nearly lost."""
    worker = SelfPlayWorker(Config(game="connect4", selfplay=SETTINGS))
    worker.version, worker._resign_threshold = 0, threshold
    worker._evaluate = lambda planes, legal: (
        np.zeros(legal.shape, np.float32), np.where(planes[:, 0, 0, 3] > 0, -0.9, 0.9).astype(np.float32))
    records = []
    indices = list(range(40))
    while len(records) < 40:
        records += [GameRecord.from_bytes(payload) for payload in worker.play(1.0, indices).records]
        indices = []
    return worker, records


def finished(game, record):
    state = game.new_state()
    for move in record.moves:
        state.play(int(move))
    return state.terminal


def test_who_looks_lost_resigns_but_in_games_played_on():
    game = make_game("connect4")
    worker, records = play(threshold=-0.5)
    admission = Admission(worker.config)
    for record in records:
        assert finished(game, record) == plays_on(record.seed, SETTINGS)
        if not finished(game, record):
            assert len(record.moves) == 3 and record.result == -1  # the first player's second search
        admission.admit(record.to_bytes(), 0, {record.index})
    assert any(plays_on(record.seed, SETTINGS) for record in records)


def test_nobody_resigns_before_there_is_a_threshold():
    game = make_game("connect4")
    _, records = play(NEVER)
    assert all(finished(game, record) for record in records)


@pytest.mark.parametrize("lost_from", [-0.4, -0.8])
def test_the_threshold_keeps_false_resignations_rare(lost_from):
    """Games whose loser's values fall to -1, and whose winner once looked as bad as `lost_from`."""
    game = make_game("connect4")
    calibration = Calibration(SETTINGS)
    for index in range(3 * ENOUGH):
        record, *_, movers = random_record(game, index)
        if record.result == 0:
            continue
        loser = 1 if record.result > 0 else 0
        values = np.where(np.array(movers) == loser, -np.linspace(0, 1, len(movers)), lost_from).astype(np.float16)
        assert calibration.threshold() == NEVER or index >= ENOUGH
        calibration.add(replace(record, values=values, seed=game_seed(1, index)), game)
    assert calibration.threshold() == pytest.approx(lost_from, abs=0.011)
    measured = calibration.measured(calibration.threshold())
    assert measured["false_resign_rate"] <= 0.05 and measured["resigned_share"] > 0.5
