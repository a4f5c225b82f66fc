"""A tensor and automatic differentiation engine on numpy and CuPy, with kernels of its own.

    import numpy as np, nn
    x = nn.Tensor(np.ones((2, 3), "float32"), requires_grad=True)
    (x * x).sum().backward()
    x.grad        # 2 x
"""

from nn import ops
from nn.tensor import Parameter, Tensor, no_grad

__all__ = ["Parameter", "Tensor", "no_grad", "ops"]
