"""A stand-in for CuPy on machines without a card: its arrays are numpy's behind a wall.

Like CuPy's, they refuse to become numpy arrays by themselves and to meet numpy arrays in a computation, so code that
is not written against `xp` fails here as it would there. It says nothing about kernels or speed.
"""

import operator

import numpy as np

float32, float64, int64, inf = np.float32, np.float64, np.int64, np.inf


class ndarray:
    """An array on the pretended device."""

    __hash__ = None

    def __init__(self, array):
        self.array = np.asarray(array)

    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: self.array.dtype)
    ndim = property(lambda self: self.array.ndim)
    size = property(lambda self: self.array.size)
    T = property(lambda self: ndarray(self.array.T))

    def get(self):
        return self.array.copy()

    def item(self):
        return self.array.item()

    def tolist(self):
        return self.array.tolist()

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return _call(getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, function, types, args, kwargs):
        return _call(function, args, kwargs)

    def __getitem__(self, key):
        return ndarray(self.array[_unwrap(key, key=True)])

    def __setitem__(self, key, value):
        self.array[_unwrap(key, key=True)] = _unwrap(value)

    def __len__(self):
        return len(self.array)

    def __bool__(self):
        return bool(self.array)

    def __float__(self):
        return float(self.array)

    def __int__(self):
        return int(self.array)


def _unwrap(value, key=False):
    if isinstance(value, ndarray):
        return value.array
    if isinstance(value, np.ndarray) and value.ndim and not key:
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, tuple | list):
        return type(value)(_unwrap(v, key) for v in value)
    return value


def _wrap(value):
    if isinstance(value, np.ndarray | np.generic):
        return ndarray(value)
    return type(value)(_wrap(v) for v in value) if isinstance(value, tuple | list) else value


def _call(function, args, kwargs):
    return _wrap(function(*_unwrap(tuple(args)), **{k: _unwrap(v) for k, v in kwargs.items()}))


def _method(name):
    return lambda self, *args, **kwargs: _call(getattr(self.array, name), args, kwargs)


def _operator(function, swapped=False):
    def apply(self, other):
        return _call(function, (other, self) if swapped else (self, other), {})

    return apply


def _in_place(function):
    def apply(self, other):
        self.array = function(self.array, _unwrap(other))
        return self

    return apply


for _name in (
    "sum", "mean", "max", "min", "argmax", "all", "any", "reshape", "transpose", "swapaxes", "astype", "copy",
    "tobytes",
):  # fmt: skip
    setattr(ndarray, _name, _method(_name))
for _name in ("add", "sub", "mul", "truediv", "pow", "matmul"):
    setattr(ndarray, f"__{_name}__", _operator(getattr(operator, _name)))
    setattr(ndarray, f"__r{_name}__", _operator(getattr(operator, _name), swapped=True))
    setattr(ndarray, f"__i{_name}__", _in_place(getattr(operator, f"i{_name}")))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_"):
    setattr(ndarray, f"__{_name.rstrip('_')}__", _operator(getattr(operator, _name)))
ndarray.__neg__ = lambda self: ndarray(-self.array)
ndarray.__invert__ = lambda self: ndarray(~self.array)


def asarray(value, dtype=None):
    """To the device, from numpy too."""
    return ndarray(np.array(value.array if isinstance(value, ndarray) else value, dtype, copy=None))


def is_available():
    return True


class cuda:
    """The part that knows cards: there are two."""

    used = []  # numbers, as threads chose them

    class runtime:
        @staticmethod
        def getDeviceCount():
            return 2

    class Device:
        def __init__(self, number):
            self.number = number

        def use(self):
            cuda.used.append(self.number)


class add:
    """The ufunc, with its `at`."""

    @staticmethod
    def at(target, key, value):
        np.add.at(target.array, _unwrap(key, key=True), _unwrap(value))

    def __new__(cls, *args, **kwargs):
        return _call(np.add, args, kwargs)


def __getattr__(name):
    function = getattr(np, name)
    return lambda *args, **kwargs: _call(function, args, kwargs)
