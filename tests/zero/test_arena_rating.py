"""Elo intervals and ratings: simulated matches of known strength, and choix as an oracle."""

import math

import numpy as np
import pytest

from zero.arena.rating import estimate, fit_ratings
from zero.arena.sprt import elo_to_score


def simulate_pairs(rng, matches, pairs, elo, advantage, draw=0.0):
    """int [matches, 5]: pair counts of matches where moving first is worth `advantage` Elo."""
    points = np.zeros((matches, pairs), int)
    for side in (1, -1):
        score = elo_to_score(elo + side * advantage)
        win, u = score - draw / 2, rng.random((matches, pairs))
        points += np.where(u < win, 2, np.where(u < win + draw, 1, 0))
    return np.stack([(points == k).sum(axis=1) for k in range(5)], axis=1)


@pytest.mark.parametrize(
    ("elo", "advantage", "draw", "pairs"), [(0, 0, 0, 50), (100, 150, 0, 50), (-60, 80, 0.3, 30), (250, 0, 0.05, 100)]
)
def test_interval_covers_the_truth(elo, advantage, draw, pairs):
    rng = np.random.default_rng(3)
    truth = np.mean([elo_to_score(elo + advantage), elo_to_score(elo - advantage)])
    truth = -400 * math.log10(1 / truth - 1)
    fits = [estimate(counts) for counts in simulate_pairs(rng, 2000, pairs, elo, advantage, draw)]
    covered = np.mean([fit.low <= truth <= fit.high for fit in fits])
    assert 0.93 <= covered <= 0.97


def test_pairing_narrows_the_interval():
    """With a strong first-player advantage most pairs split; counted as single games the interval is too wide."""
    pairs, games = [0, 0, 90, 0, 10], [90, 0, 110]
    assert estimate(pairs).elo == pytest.approx(estimate(games).elo)
    assert estimate(pairs).high - estimate(pairs).low < 0.5 * (estimate(games).high - estimate(games).low)


def test_one_sided_at_the_ends():
    best = estimate([0, 0, 0, 0, 10])
    assert best.elo == best.high == math.inf and best.los > 0.9999
    assert best.low == pytest.approx(-400 * math.log10(1 / 0.05 ** (1 / 20) - 1))
    worst = estimate([20, 0, 0])
    assert worst.high == pytest.approx(-best.low) and worst.low == -math.inf
    assert str(best).startswith("more than +") and str(worst).startswith("less than -")
    assert estimate([0, 0, 0]).los == 0.5 and str(estimate([0, 0, 0])) == "no games"
    even = estimate([0, 0, 10, 0, 0])
    assert even.elo == 0 and even.low < -50 and even.los == pytest.approx(0.5)


def test_interval_and_likelihood_of_superiority_agree():
    """Who is surely stronger by the interval is so by the likelihood, in short matches with draws, too."""
    assert estimate([0, 5, 5, 0, 0]).high < 0 and estimate([0, 5, 5, 0, 0]).los < 0.025
    rng = np.random.default_rng(8)
    for _ in range(300):
        fit = estimate(rng.multinomial(rng.integers(20, 60), rng.dirichlet(np.full(5, 3.0))))
        assert (fit.low > 0, fit.high < 0) == (fit.los > 0.975, fit.los < 0.025)


def test_likelihood_of_superiority_is_calibrated():
    """Of matches between players drawn from a symmetric prior, those with LOS near 0.9 are right 90 % of the time."""
    rng = np.random.default_rng(5)
    elo = rng.normal(0, 60, 6000)
    claims, right = [], []
    for e in elo:
        (counts,) = simulate_pairs(rng, 1, 40, e, 100)
        claims.append(estimate(counts).los)
        right.append(e > 0)
    claims, right = np.array(claims), np.array(right)
    for low, high in ((0.05, 0.2), (0.35, 0.65), (0.8, 0.95)):
        inside = (claims > low) & (claims < high)
        assert abs(right[inside].mean() - claims[inside].mean()) < 0.06


def test_normalised_elo_is_stated_per_game():
    single, pairs = estimate([30, 0, 70]), estimate([9, 0, 42, 0, 49])  # independent games in pairs
    assert single.nelo == pytest.approx(pairs.nelo, rel=0.01)


def round_robin(rng, truth, games, advantage=0.0, nu=0.0):
    results = {}
    for a, elo_a in truth.items():
        for b, elo_b in truth.items():
            if a != b:
                d = (elo_a + advantage - elo_b) * math.log(10) / 400
                weights = np.array([math.exp(d / 2), nu, math.exp(-d / 2)])
                results[a, b] = rng.multinomial(games, weights / weights.sum())
    return results


def test_ratings_cover_the_truth():
    rng = np.random.default_rng(9)
    truth = {"a": -200.0, "b": 0.0, "c": 50.0, "d": 180.0}
    inside, ahead = [], []
    for _ in range(150):
        fit = fit_ratings(round_robin(rng, truth, 40, advantage=60, nu=0.5), anchors={"a": -200.0})
        inside += [abs(fit[p] - truth[p]) <= fit.error(p) for p in "bcd"]
        inside += [abs(fit[p] - fit[q] - truth[p] + truth[q]) <= fit.error(p, q) for p, q in ("bc", "cd")]
        ahead.append((fit.advantage, fit.draw))
    assert 0.93 <= np.mean(inside) <= 0.975
    assert np.mean(ahead, axis=0) == pytest.approx([60, 0.5], rel=0.05)


def test_anchors_and_mean_fix_the_scale():
    rng = np.random.default_rng(1)
    results = round_robin(rng, {"a": 0.0, "b": 100.0, "c": 200.0}, 100)
    free, fixed = fit_ratings(results), fit_ratings(results, anchors={"a": 500.0})
    assert free.elo.sum() == pytest.approx(0)
    assert fixed["a"] == 500 and fixed.error("a") == 0
    assert fixed["b"] - fixed["a"] == pytest.approx(free["b"] - free["a"], abs=2)
    assert fixed.error("a", "b") == pytest.approx(free.error("a", "b"), rel=0.05)
    assert free.superiority("c", "a") > 0.999 and free.games.tolist() == [400, 400, 400]


def test_weak_prior_keeps_shut_outs_finite():
    fit = fit_ratings({("a", "b"): (20, 0, 0), ("b", "a"): (0, 0, 20)})
    assert 300 < fit["a"] - fit["b"] < 1500
    assert fit.error("a", "b") > 150
    with pytest.raises(ValueError, match="no results"):
        fit_ratings({})


def test_agrees_with_choix():
    choix = pytest.importorskip("choix")
    rng = np.random.default_rng(4)
    results = round_robin(rng, dict(zip("abcde", (0.0, 80, 120, 300, -50), strict=True)), 200)
    wins = np.zeros((5, 5))
    for (a, b), (won, _, lost) in results.items():
        wins["abcde".index(a), "abcde".index(b)] += won
        wins["abcde".index(b), "abcde".index(a)] += lost
    theirs = choix.opt_pairwise(5, [(i, j) for i in range(5) for j in range(5) for _ in range(int(wins[i, j]))])
    ours = fit_ratings(results, prior_draws=1e-9)
    assert [ours[p] for p in "abcde"] == pytest.approx(theirs * 400 / math.log(10), abs=2)
