"""Tensor, automatic differentiation, and the one way to define an operation.

An operation is a function of plain arrays that returns its value and a *pullback*: a closure that takes the gradient
of the value and returns the gradients of the operands. What the closure captures is what the backward pass needs.
`backward` walks the recorded operations from the latest to the earliest and drops each closure after use.
"""

import functools
import heapq
import inspect
import itertools
import threading

import numpy as np

from nn.backend import array_module, as_array, device_of, dtype_of, module_of


class Observer:
    """Sees every operation of a thread while it is `state.observer`: see `nn.graph.trace`, `nn.finite`."""

    def attributes(self, op, attributes):
        """The attributes with which the operation is to run."""
        return attributes

    def record(self, op, args, attributes, out):
        """The operation has run: `op(*args, **attributes)` gave `out`."""


class _ThreadState(threading.local):
    grad_enabled = True
    observer = None


state = _ThreadState()
_creation_order = itertools.count()


class no_grad:
    """Context manager and decorator: operations inside record nothing for `backward` (in this thread)."""

    def __enter__(self):
        self._before, state.grad_enabled = state.grad_enabled, False

    def __exit__(self, *_):
        state.grad_enabled = self._before

    def __call__(self, function):
        @functools.wraps(function)
        def without_grad(*args, **kwargs):
            with no_grad():
                return function(*args, **kwargs)

        return without_grad


def _used_up(_):
    raise RuntimeError("backward: this part of the graph was already used and freed; run the forward pass again")


class Tensor:
    """An array with a gradient: `data` (numpy or CuPy), `grad` (an array of the same shape, or None).

    Python numbers and lists of them become float32 (integers int64, booleans bool); arrays keep their dtype and are
    not copied. `dtype` is numpy's or "bfloat16". Arithmetic, comparisons, indexing and methods follow numpy; the
    operations are in `nn.ops`. On the CPU, 16-bit floats are a format to store: operations compute in float32 and
    round their result.
    """

    __slots__ = ("data", "grad", "requires_grad", "_parents", "_pullback", "_order", "__weakref__")
    __array_ufunc__ = None  # array + tensor is left to Tensor.__radd__

    def __init__(self, data, requires_grad=False, dtype=None, device=None):
        if isinstance(data, Tensor):
            data = data.data
        is_array = hasattr(data, "dtype") and hasattr(data, "shape")
        if not is_array and dtype is None and np.asarray(data).dtype == np.float64:
            dtype = np.float32
        if device is None:
            device = device_of(data) if is_array else "cpu"
        if device == "cpu" and is_array and device_of(data) == "cuda":
            data = data.get()
        self.data = module_of(device).asarray(data, None if dtype is None else dtype_of(dtype))
        if requires_grad and not is_float(self.data):
            raise TypeError(f"Tensor: only floating-point tensors have gradients, not {self.data.dtype}")
        self.grad = None
        self.requires_grad = requires_grad
        self._parents = self._pullback = self._order = None

    shape = property(lambda self: self.data.shape)
    dtype = property(lambda self: self.data.dtype)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    device = property(lambda self: device_of(self.data))
    T = property(lambda self: self.transpose())

    def numpy(self):
        """The values as a numpy array; shares memory on the CPU."""
        return self.data if self.device == "cpu" else self.data.get()

    def item(self):
        return self.data.item()

    def tolist(self):
        return self.data.tolist()

    def detach(self):
        """The same data outside the graph."""
        return _wrap(self.data)

    def to(self, device):
        """This tensor's values on `device`, outside the graph."""
        return Tensor(self.data, device=device)

    def cpu(self):
        return self.to("cpu")

    def cuda(self):
        return self.to("cuda")

    def __len__(self):
        return len(self.data)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        return bool(self.data)

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __repr__(self):
        values = np.array2string(self.numpy(), precision=4, threshold=50, separator=", ", prefix="Tensor(")
        gradient = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({values}, dtype={self.dtype}, device={self.device}{gradient})"

    def backward(self, gradient=None):
        """Add d(self)/d(leaf), weighted with `gradient` (default 1 for a scalar), to `grad` of every leaf.

        The recorded operations are freed on the way. Raises RuntimeError without a graph or with a freed one.
        """
        if not self.requires_grad:
            raise RuntimeError("backward: this tensor does not require a gradient, nothing leads to a parameter")
        if gradient is None:
            if self.size != 1:
                raise RuntimeError(f"backward: a tensor of shape {list(self.shape)} needs an explicit gradient")
            gradient = array_module(self.data).ones_like(self.data)
        elif isinstance(gradient, Tensor):
            gradient = gradient.data
        if gradient.shape != self.shape:
            raise ValueError(f"backward: gradient of shape {list(gradient.shape)} for {list(self.shape)}")

        pending = []  # heap of (-creation order, tensor): an operation runs after all that used its value
        gradients = {}  # order -> gradient so far
        owned = set()  # orders whose gradient is a sum made here, so that more may be added in place

        def give(tensor, g):
            order = tensor._order
            if tensor._pullback is None:
                if tensor.grad is None:
                    tensor.grad = g.copy()
                else:
                    tensor.grad += g
            elif order not in gradients:
                gradients[order] = g
                heapq.heappush(pending, (-order, tensor))
            elif order in owned:
                gradients[order] += g
            else:
                gradients[order] = gradients[order] + g
                owned.add(order)

        give(self, gradient)
        while pending:
            order, tensor = heapq.heappop(pending)
            parents, pullback = tensor._parents, tensor._pullback
            tensor._parents, tensor._pullback = (), _used_up
            results = pullback(gradients.pop(-order))
            del pullback, tensor
            for parent, g in zip(parents, results if type(results) is tuple else (results,), strict=True):
                if parent is not None and g is not None:
                    give(parent, g)


def is_float(array):
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


def _wrap(array):
    """A Tensor around an array, without the conversions of the constructor."""
    tensor = Tensor.__new__(Tensor)
    tensor.data = array
    tensor.grad = tensor._parents = tensor._pullback = tensor._order = None
    tensor.requires_grad = False
    return tensor


class Parameter(Tensor):
    """A tensor that a `Module` owns and an optimiser trains."""

    __slots__ = ()

    def __init__(self, data, dtype=None, device=None):
        super().__init__(data, requires_grad=True, dtype=dtype, device=device)


def op(function):
    """Make an operation on tensors of `function(*operands, **attributes) -> (array, pullback)`.

    Operands are the positional parameters: tensors, arrays, numbers or None; attributes are keyword-only.
    `pullback(g)` returns the gradient of each operand (a tuple, or one array for one operand; None where there is
    none). A keyword parameter `need` receives a tuple of bools: which operands want their gradient.
    All floating-point operands have one dtype and one device, and the result keeps it.
    Raises TypeError or ValueError naming the operation, and the shapes and dtypes of its operands.
    """
    parameters = inspect.signature(function).parameters.values()
    operand_names = [p.name for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD]
    defaults = {p.name: p.default for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD}
    attribute_names = [p.name for p in parameters if p.kind == p.KEYWORD_ONLY and p.name != "need"]
    variadic = any(p.kind == p.VAR_POSITIONAL for p in parameters)
    wants_need = any(p.name == "need" for p in parameters)
    name = function.__name__

    @functools.wraps(function)
    def call(*args, **attributes):
        if len(args) > len(operand_names) and not variadic:  # x.sum(0): attributes by position, as in numpy
            attributes.update(zip(attribute_names, args[len(operand_names) :], strict=False))
            args = args[: len(operand_names)]
        for operand in operand_names[len(args) :]:
            value = attributes.pop(operand, defaults[operand])
            if value is inspect.Parameter.empty:
                raise TypeError(f"{name}: operand {operand!r} is missing")
            args += (value,)
        arrays = [a.data if isinstance(a, Tensor) else a.item() if isinstance(a, np.generic) else a for a in args]
        need = tuple([state.grad_enabled and isinstance(a, Tensor) and a.requires_grad for a in args])
        _check_operands(name, arrays)
        observer = state.observer
        settings = attributes if observer is None else observer.attributes(call, attributes)
        try:
            if wants_need:
                value, pullback = call.forward(*arrays, need=need, **settings)
            else:
                value, pullback = call.forward(*arrays, **settings)
        except (ValueError, TypeError, IndexError) as error:
            raise type(error)(f"{name}: {describe(arrays)}: {error}") from error
        out = _wrap(as_array(value))
        if not call.casts:
            _check_result(name, arrays, out.data)
        if pullback is not None and True in need:
            out.requires_grad = True
            out._parents = tuple([a if wanted else None for a, wanted in zip(args, need, strict=True)])
            out._pullback, out._order = pullback, next(_creation_order)
        if observer is not None:
            observer.record(call, args, attributes, out)
        return out

    call.forward = _in_float32(function, call)
    call.wants_need = wants_need
    call.defaults = function.__kwdefaults__ or {}  # of the attributes
    call.casts = False  # the result may have another dtype
    call.moves = False  # elements are moved, not computed: the result may be a view
    call.is_pure = lambda attributes: True  # same value each time, changes nothing
    return call


def _in_float32(function, call):
    """`function` of the operation `call` for 16-bit floats on the CPU, which has no arithmetic for them.

    Operands become float32, results are rounded once. What only moves elements runs as it is, so that views stay views;
    its pullback, which adds, does not.
    """

    @functools.wraps(function)
    def forward(*arrays, **settings):
        half = next((a.dtype for a in arrays if _is_half(a)), None)
        if half is None or call.casts:
            return function(*arrays, **settings)

        def wide(a):
            return a.astype(np.float32) if isinstance(a, np.ndarray) and a.dtype == half else a

        def rounded(a):
            return as_array(a).astype(half) if a is not None and a.dtype == np.float32 else a

        def rounded_pullback(g):
            results = pullback(wide(g))
            return tuple(rounded(r) for r in results) if type(results) is tuple else rounded(results)

        value, pullback = function(*(arrays if call.moves else map(wide, arrays)), **settings)
        return rounded(value), None if pullback is None else rounded_pullback

    return forward


def _is_half(a):
    return isinstance(a, np.ndarray) and a.dtype.itemsize == 2 and is_float(a)


def describe(arrays):
    shown = [f"{list(a.shape)} {a.dtype}" for a in arrays if hasattr(a, "shape")]
    return " and ".join(shown) if shown else "no tensors"


def _check_operands(name, arrays):
    dtype = device = None
    for a in arrays:
        if not hasattr(a, "shape"):
            continue
        if device is None:
            device = device_of(a)
        elif device_of(a) != device:
            raise TypeError(f"{name}: operands on different devices ({describe(arrays)}): use .to(device)")
        if is_float(a):
            if dtype is None:
                dtype = a.dtype
            elif a.dtype != dtype:
                raise TypeError(f"{name}: mixed dtypes ({describe(arrays)}): convert with .astype(...)")


def _check_result(name, arrays, out):
    if not is_float(out):
        return
    dtype = next((a.dtype for a in arrays if hasattr(a, "dtype") and is_float(a)), out.dtype)
    if out.dtype != dtype:
        raise TypeError(f"{name}: {describe(arrays)} would give {out.dtype}: convert with .astype(...)")


def unbroadcast(gradient, shape):
    """Sum `gradient` over the axes along which an operand of `shape` was broadcast; `shape` () for a number."""
    if gradient.shape == shape:
        return gradient
    extra = gradient.ndim - len(shape)
    stretched = [i for i, n in enumerate(shape, extra) if n == 1 and gradient.shape[i] != 1]
    return gradient.sum((*range(extra), *stretched), keepdims=True).reshape(shape)
