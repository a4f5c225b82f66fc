"""Finding where a NaN or an infinity came from."""

from nn.backend import array_module
from nn.tensor import Observer, describe, is_float, state


def nonfinite(module):
    """Names of what holds a NaN or an infinity: parameters and buffers, then gradients ("gradient of NAME")."""
    tensors = dict(module.named_tensors())
    values = [name for name, t in tensors.items() if _bad(t.data)]
    return values + [f"gradient of {name}" for name, t in tensors.items() if t.grad is not None and _bad(t.grad)]


def check_finite(loss, module, where=""):
    """Raise FloatingPointError if `loss` is not finite, naming `where` ("step 120") and the tensors at fault."""
    if _bad(loss.data):
        names = nonfinite(module)
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        cause = f"not finite: {shown}" if names else "all weights and gradients are finite: look at the batch"
        raise FloatingPointError(f"{where + ': ' if where else ''}the loss is {loss.item()}; {cause}")


class detect_nonfinite(Observer):
    """Context manager: the first operation inside that turns finite operands into a NaN or an infinity raises.

    FloatingPointError names the operation, and the shapes and dtypes of its operands. Slow: for looking into a failure.
    """

    def __enter__(self):
        self._before, state.observer = state.observer, self
        return self

    def __exit__(self, *_):
        state.observer = self._before

    def record(self, op, args, attributes, out):
        arrays = [getattr(a, "data", a) if hasattr(a, "shape") else a for a in args]
        arrays = [a for a in arrays if hasattr(a, "dtype")]
        if _bad(out.data) and not any(_bad(a) for a in arrays):
            raise FloatingPointError(f"{op.__name__}: {describe(arrays)}: the result is not finite")


def _bad(array):
    return is_float(array) and not bool(array_module(array).isfinite(array).all())
