"""Linear regression by gradient descent: the smallest use of nn.

    python examples/linear_regression.py

Recovers y = 3 x1 - 2 x2 + 0.5 from noisy samples and compares with the least-squares solution.
"""

import numpy as np

import nn
from nn.optim import SGD


def samples(rng, n):
    """`x [n, 2]`, `y [n]` float64."""
    x = rng.normal(size=(n, 2))
    return x, x @ [3.0, -2.0] + 0.5 + rng.normal(size=n) * 0.1


def fit(x, y, steps=200):
    """Weights `[2]` and bias that minimise the mean squared error."""
    weight, bias = nn.Parameter(np.zeros(2)), nn.Parameter(np.zeros(()))
    optimizer = SGD([weight, bias], lr=0.05)
    for _ in range(steps):
        loss = nn.ops.mse(nn.Tensor(x) @ weight + bias, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weight.numpy(), bias.item()


def main():
    x, y = samples(np.random.default_rng(0), 500)
    weight, bias = fit(x, y)
    exact = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)[0]
    print(f"gradient descent  {weight[0]:.4f} x1 {weight[1]:+.4f} x2 {bias:+.4f}")
    print(f"least squares     {exact[0]:.4f} x1 {exact[1]:+.4f} x2 {exact[2]:+.4f}")


if __name__ == "__main__":
    main()
