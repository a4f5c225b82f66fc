"""Handwritten digits: a convolutional network on scikit-learn's 8x8 images, above 98 % on the test set.

    python examples/digits.py            # eager: operations run as Python reaches them
    python examples/digits.py --graph    # the same training as a static graph

Needs scikit-learn, for the images.
"""

import argparse
import time

import numpy as np

import nn
from nn import graph, infer
from nn.data import from_source
from nn.layers import ConvBN, Dropout, Flatten, Linear, MaxPool, Module
from nn.optim import AdamW
from nn.schedules import Cosine, Warmup

EPOCHS, BATCH = 20, 64


class Net(Module):
    """Three convolutions with batch norm and ReLU, pooling, dropout; logits of the ten digits."""

    def __init__(self, rng):
        self.first, self.second, self.third = ConvBN(1, 16, 3, rng), ConvBN(16, 32, 3, rng), ConvBN(32, 64, 3, rng)
        self.pool, self.flatten, self.dropout = MaxPool(2), Flatten(), Dropout(0.3, rng)
        self.head = Linear(64 * 4, 10, rng)

    def forward(self, x):
        x = self.pool(self.second(self.first(x)))
        x = self.pool(self.third(x))
        return self.head(self.dropout(self.flatten(x)))


def load_digits(seed=0):
    """Images `[n, 8, 8, 1]` float32 in [0, 1] and labels `[n]`, as ((train x, y), (test x, y)); a fifth is the test."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = (digits.images[..., None] / 16).astype(np.float32), digits.target
    order = np.random.default_rng(seed).permutation(len(x))
    test, train = order[: len(x) // 5], order[len(x) // 5 :]
    return (x[train], y[train]), (x[test], y[test])


def batches(x, y, seed):
    """Endless shuffled batches, each image shifted by up to one pixel."""
    rng = np.random.default_rng(seed)

    def shifted(i):
        return np.roll(x[i], rng.integers(-1, 2, 2), (0, 1)), y[i]

    return from_source(range(len(x))).shuffle(len(x), seed).map(shifted).batch(BATCH, drop_last=True).repeat()


def train(net, x, y, as_graph=False, epochs=EPOCHS, seed=0, report=print):
    """Train `net` in place; returns the loss of every step."""
    steps_per_epoch = len(x) // BATCH
    optimizer = AdamW(net.parameters(), weight_decay=0.01)
    schedule = Warmup(steps_per_epoch, Cosine(4e-3, 0.0, epochs * steps_per_epoch))

    def loss_of(images, labels):
        return nn.ops.cross_entropy(net(images), labels)

    program, losses = None, []
    for images, labels in batches(x, y, seed).take(epochs * steps_per_epoch).prefetch():
        optimizer.lr = schedule(optimizer.steps)
        optimizer.zero_grad()
        if as_graph:
            program = program or graph.optimise(graph.trace(loss_of, images, labels))
            losses.append(program.value_and_grad(images, labels))
        else:
            loss = loss_of(nn.Tensor(images), nn.Tensor(labels))
            loss.backward()
            losses.append(loss.item())
        optimizer.step()
        if len(losses) % steps_per_epoch == 0:
            report(f"epoch {len(losses) // steps_per_epoch:2}  loss {np.mean(losses[-steps_per_epoch:]):.4f}")
    return losses


def probabilities(net, x):
    """`[n, 10]` by compiled inference."""
    (logits,) = infer.compile(net, x.shape[1:])(x)
    return nn.Tensor(logits).softmax().numpy()


def main():
    parser = argparse.ArgumentParser(description="Handwritten digits")
    parser.add_argument("--graph", action="store_true", help="train as a static graph")
    as_graph = parser.parse_args().graph
    (x, y), (test_x, test_y) = load_digits()
    net = Net(np.random.default_rng(0))
    start = time.perf_counter()
    train(net, x, y, as_graph)
    accuracy = (probabilities(net, test_x).argmax(1) == test_y).mean()
    print(f"test accuracy {accuracy:.2%} on {len(test_x)} images after {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
