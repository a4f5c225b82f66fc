"""Random variates for exploration at the root."""
from libc.math cimport cos, exp, log, pow, sqrt
from libc.stdint cimport uint64_t

from mcts_ext.rng cimport random_unit


cdef double gumbel_noise(uint64_t* rng) noexcept nogil:
    """Standard Gumbel by inversion."""
    return -log(-log(random_unit(rng)))


cdef double _normal(uint64_t* rng) noexcept nogil:
    """Standard normal (Box & Muller 1958; the second of the pair is not kept)."""
    cdef double radius = sqrt(-2 * log(random_unit(rng)))
    return radius * cos(6.283185307179586 * random_unit(rng))


cdef double _log_gamma_variate(uint64_t* rng, double alpha) noexcept nogil:
    """The logarithm of a Gamma(alpha, 1) variate (Marsaglia & Tsang 2000).

    The logarithm, since a small alpha gives numbers below the smallest double.
    """
    cdef double d, c, x, v, boost = 0
    if alpha < 1:                        # Gamma(alpha) = Gamma(alpha + 1) * U^(1 / alpha)
        boost = log(random_unit(rng)) / alpha
        alpha += 1
    d = alpha - 1.0 / 3
    c = 1 / sqrt(9 * d)
    while True:
        x = _normal(rng)
        v = pow(1 + c * x, 3)
        if v > 0 and log(random_unit(rng)) < 0.5 * x * x + d - d * v + d * log(v):
            return log(d * v) + boost


cdef void dirichlet(uint64_t* rng, float* alphas, int n) noexcept nogil:
    """A Dirichlet variate of the concentrations `alphas`, in their place: n numbers that sum to 1."""
    cdef double largest = -1e300, total = 0
    cdef int i
    for i in range(n):
        alphas[i] = <float>_log_gamma_variate(rng, alphas[i])
        largest = max(largest, alphas[i])
    for i in range(n):
        alphas[i] = <float>exp(alphas[i] - largest)
        total += alphas[i]
    for i in range(n):
        alphas[i] = <float>(alphas[i] / total)
