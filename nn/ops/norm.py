"""Normalisation (fused with what follows it), softmax and dropout."""

from nn import reference
from nn.backend import array_module, kernels
from nn.tensor import op


@op
def bn_act(
    y, gamma, beta, residual=None, *, running_mean, running_var, training, momentum=0.1, eps=1e-5, relu=True,
    mask=None, reduce=None, need,
):  # fmt: skip
    """Batch normalisation over all axes but the last, plus `residual`, then ReLU: one pass where the parts take six.

    `relu(gamma * (y - mean) / sqrt(var + eps) + beta + residual)` (Ioffe & Szegedy 2015). In training the statistics
    are the batch's, and `running_mean`, `running_var` (arrays `[c]`) move towards them in place by `momentum`, the
    variance with Bessel's correction as in PyTorch; otherwise they are used as they stand.
    With `mask` (bool array, the shape of `y` without its last axis) only the points where it is True exist: the others
    are 0 in the result and take no part in statistics and gradients.
    With `reduce`, which sums an array over processes that share a batch, training statistics are those of the whole
    batch; the gradients of `gamma` and `beta` stay those of this process's part.
    """
    if residual is not None and residual.shape != y.shape:
        raise ValueError(f"the residual {list(residual.shape)} must have the shape of the input {list(y.shape)}")
    if mask is not None:
        settings = {"running_mean": running_mean, "running_var": running_var, "training": training,
                    "momentum": momentum, "eps": eps, "relu": relu, "reduce": reduce, "need": need}  # fmt: skip
        return _bn_act_masked(y, gamma, beta, residual, mask, settings)
    if not training:
        return _bn_act_eval(y, gamma, beta, residual, running_mean, running_var, eps, relu)
    k = kernels(y)
    count = y.size // y.shape[-1]
    if reduce is not None:
        out, mean, inv_std, count, pullback = _bn_act_joint(y, gamma, beta, residual, reduce, eps, relu, need[3])
    else:
        out, mean, inv_std = k.bn_act_forward(y, gamma, beta, residual, eps, relu)

        def pullback(g):
            return k.bn_act_backward(g, out, y, mean, inv_std, gamma, relu, need[3])

    _move_statistics(running_mean, running_var, mean, inv_std, count, momentum, eps)
    return out, pullback


def _move_statistics(running_mean, running_var, mean, inv_std, count, momentum, eps):
    variance = (1 / (inv_std * inv_std) - eps) * (count / max(count - 1, 1))
    running_mean += momentum * (mean - running_mean)
    running_var += momentum * (variance - running_var)


def _bn_act_joint(y, gamma, beta, residual, reduce, eps, relu, need_residual):
    """The forward and backward pass of `reference.bn_act_*` with sums over all processes, one exchange each.

    Every process sends count, sum and sum of squares of its part, in float64; the squares are taken about its own mean
    and moved to zero, so that nothing is lost in float32.
    """
    xp = array_module(y)
    axes = tuple(range(y.ndim - 1))
    count = y.size // y.shape[-1]
    own_mean = y.mean(axes, dtype="float64")
    own_square = xp.square(y - own_mean.astype(y.dtype)).sum(axes, dtype="float64") + count * own_mean**2
    sums = reduce(xp.stack([xp.full_like(own_mean, count), count * own_mean, own_square]))
    total = float(sums[0, 0])
    mean = sums[1] / total
    inv_std = (1 / xp.sqrt(xp.maximum(sums[2] / total - mean**2, 0) + eps)).astype(y.dtype)
    mean = mean.astype(y.dtype)
    normalised = (y - mean) * inv_std
    out = normalised * gamma + beta
    if residual is not None:
        out += residual
    if relu:
        xp.maximum(out, 0, out=out)

    def pullback(g):
        if relu:
            g = g * (out > 0)
        dbeta, dgamma = g.sum(axes), (g * normalised).sum(axes)
        mean_g, mean_gn = (reduce(xp.stack([dbeta, dgamma])) / total).astype(y.dtype)
        gy = (gamma * inv_std) * (g - mean_g - normalised * mean_gn)
        return gy, dgamma, dbeta, g if need_residual else None

    return out, mean, inv_std, total, pullback


def _bn_act_masked(y, gamma, beta, residual, mask, settings):
    """`bn_act` of the existing points in a row, put back in their places."""
    points, pullback = bn_act.forward(y[mask], gamma, beta, None if residual is None else residual[mask], **settings)

    def placed(values):
        if values is None:
            return None
        full = array_module(y).zeros_like(y)
        full[mask] = values
        return full

    def masked_pullback(g):
        gy, ggamma, gbeta, gresidual = pullback(g[mask])
        return placed(gy), ggamma, gbeta, placed(gresidual)

    return placed(points), masked_pullback


def _bn_act_eval(y, gamma, beta, residual, mean, var, eps, relu):
    xp = array_module(y)
    mean, var = (a.astype(y.dtype, copy=False) for a in (mean, var))
    inv_std = 1 / xp.sqrt(var + var.dtype.type(eps))
    scale = gamma * inv_std
    out = y * scale
    out += beta - mean * scale
    if residual is not None:
        out += residual
    if relu:
        xp.maximum(out, 0, out=out)

    def pullback(g):
        if relu:
            g = g * (out > 0)
        axes = tuple(range(y.ndim - 1))
        return g * scale, (g * (y - mean)).sum(axes) * inv_std, g.sum(axes), g

    return out, pullback


bn_act.is_pure = lambda attributes: not attributes["training"]


@op
def conv_bn_act(
    x, w, gamma, beta, residual=None, *, running_mean, running_var, stride=1, momentum=0.1, eps=1e-5, relu=True, need
):  # fmt: skip
    """`bn_act` in training of `conv2d(x, w, stride=stride)`: what training a residual network consists of, as one."""
    if x.ndim != 4 or w.ndim != 4 or x.shape[3] != w.shape[2]:
        raise ValueError("image and filter must be [n, h, w, ci] and [kh, kw, ci, co]")
    k = kernels(x)
    shape = reference.conv2d_shape(x.shape, w.shape, stride)
    if residual is not None and residual.shape != shape:
        raise ValueError(f"the residual {list(residual.shape)} must have the shape of the output {list(shape)}")
    y, out, mean, inv_std = k.conv_bn_act_forward(x, w, gamma, beta, residual, eps, relu, stride)
    _move_statistics(running_mean, running_var, mean, inv_std, y.size // y.shape[-1], momentum, eps)

    def pullback(g):
        return k.conv_bn_act_backward(g, out, y, mean, inv_std, gamma, x, w, relu, need[0], need[4], stride)

    return out, pullback


conv_bn_act.is_pure = lambda attributes: False


@op
def layer_norm(x, gamma, beta, *, eps=1e-5):
    """Normalisation over the last axis (Ba, Kiros & Hinton 2016): `gamma * (x - mean) / sqrt(var + eps) + beta`."""
    centred = x - x.mean(-1, keepdims=True)
    inv_std = 1 / array_module(x).sqrt((centred * centred).mean(-1, keepdims=True) + x.dtype.type(eps))
    normalised = centred * inv_std

    def pullback(g):
        axes = tuple(range(x.ndim - 1))
        gn = g * gamma
        gx = inv_std * (gn - gn.mean(-1, keepdims=True) - normalised * (gn * normalised).mean(-1, keepdims=True))
        return gx, (g * normalised).sum(axes), g.sum(axes)

    return normalised * gamma + beta, pullback


@op
def softmax(x, *, axis=-1):
    xp = array_module(x)
    value = xp.exp(x - x.max(axis, keepdims=True))
    value /= value.sum(axis, keepdims=True)
    return value, lambda g: value * (g - (g * value).sum(axis, keepdims=True))


@op
def log_softmax(x, *, axis=-1):
    xp = array_module(x)
    shifted = x - x.max(axis, keepdims=True)
    value = shifted - xp.log(xp.exp(shifted).sum(axis, keepdims=True))
    return value, lambda g: g - xp.exp(value) * g.sum(axis, keepdims=True)


@op
def dropout(x, *, p, rng):
    """Zero each element with probability `p`, divide the others by 1 - p; draws from the numpy Generator `rng`."""
    xp = array_module(x)
    keep = xp.asarray(rng.random(x.shape, "float32") >= p) * x.dtype.type(1 / (1 - p))
    return x * keep, lambda g: g * keep


dropout.is_pure = lambda attributes: False
