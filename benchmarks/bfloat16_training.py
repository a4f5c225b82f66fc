"""Training with bfloat16 operands beside float32: the loss curves of examples/digits.py, several seeds of each.

    python benchmarks/bfloat16_training.py [seeds] [epochs]

Both precisions start from the same weights and see the same batches; the operands of the 3x3 convolutions and of their
gradients are rounded to bfloat16, sums and weights stay float32. Writes docs/pictures/bfloat16-training.png and prints
the test accuracies. Needs matplotlib and scikit-learn.
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot, ticker  # noqa: E402

from nn import cpu  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))
import digits  # noqa: E402

COLOURS = {"float32": "tab:blue", "bfloat16": "tab:orange"}


def train(precision, seed, epochs):
    """Loss of each epoch `[epochs]`, and the accuracy on the test set."""
    (x, y), (test_x, test_y) = digits.load_digits()
    net = digits.Net(np.random.default_rng(seed))
    cpu.set_precision(precision)
    try:
        losses = digits.train(net, x, y, epochs=epochs, seed=seed, report=lambda line: None)
    finally:
        cpu.set_precision("float32")
    accuracy = (digits.probabilities(net, test_x).argmax(1) == test_y).mean()
    return np.reshape(losses, (epochs, -1)).mean(1), accuracy


def main(seeds=5, epochs=12):
    curves = {}
    for precision in COLOURS:
        runs = [train(precision, seed, epochs) for seed in range(seeds)]
        curves[precision] = np.array([losses for losses, _ in runs])
        accuracies = [accuracy for _, accuracy in runs]
        print(f"{precision}: test accuracy {np.mean(accuracies):.2%} ({min(accuracies):.2%} to {max(accuracies):.2%}),"
              f" last epoch's loss {curves[precision][:, -1].mean():.4f}", flush=True)
    draw(curves, ROOT / "docs" / "pictures" / "bfloat16-training.png")


def draw(curves, path):
    epochs = np.arange(1, next(iter(curves.values())).shape[1] + 1)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for precision, colour in COLOURS.items():
        style = "-" if precision == "float32" else "--"
        left.fill_between(epochs, curves[precision].min(0), curves[precision].max(0), color=colour, alpha=0.2, lw=0)
        left.plot(epochs, curves[precision].mean(0), style, color=colour, label=precision)
    left.set(yscale="log", xlabel="epoch", ylabel="training loss", title="mean and range of the seeds")
    left.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter(ticker.NullFormatter())
    left.legend()
    exact = curves["float32"]
    spread = exact - exact.mean(0)
    difference = curves["bfloat16"] - exact
    right.fill_between(epochs, spread.min(0), spread.max(0), color=COLOURS["float32"], alpha=0.2, lw=0,
                       label="float32: seeds about their mean")
    right.plot(epochs, difference.T, color=COLOURS["bfloat16"], lw=0.8, alpha=0.6)
    right.plot(epochs, difference.mean(0), "--", color=COLOURS["bfloat16"], label="bfloat16 minus float32, same seed")
    right.axhline(0, color="black", lw=0.5)
    right.set(xlabel="epoch", ylabel="difference of loss", title="what rounding does, beside chance")
    right.legend()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
