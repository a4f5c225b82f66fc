# distutils: language = c++
"""The compiled kernels on dense float32 arrays of the right shape; `nn.cpu` checks and prepares the arguments.

Every function takes the name of an instruction set and releases the GIL while it computes.
"""
from libcpp cimport bool as cpp_bool

import numpy as np


cdef extern from "kernels.hpp" namespace "nn" nogil:
    cdef struct Tile:
        int rows, cols
    cdef struct Conv:
        int rows, cols
        int inputs "in"
        int outputs "out"
        Tile tile
    cdef cppclass Kernels:
        const char* isa
    Tile best_tile(int rows, int cols)
    const Kernels* best_kernels()
    const Kernels* find_kernels(const char* isa)


cdef extern from "engine.hpp" namespace "nn" nogil:
    void _conv3x3 "nn::conv3x3"(const Kernels&, const Conv&, const float* x, const float* weight, const float* bias,
                                float* y, int boards, int threads) except +
    void _grad_weight "nn::conv3x3_grad_weight"(const Kernels&, const Conv&, const float* x, const float* g,
                                                float* gradient, int boards, int threads) except +
    void _dense "nn::dense"(const Kernels&, const float* x, const float* weight, const float* bias, cpp_bool relu,
                            float* y, long rows, int inputs, int outputs, int threads) except +
    void _global_pool "nn::global_pool"(const Kernels&, const float* x, float* y, int boards, long points,
                                        int channels, int threads) except +
    void _bn_forward "nn::bn_act_forward"(const Kernels&, const float* y, const float* gamma, const float* beta,
                                          const float* residual, float eps, cpp_bool relu, float* out, float* mean,
                                          float* inv_std, long rows, int channels, int threads) except +
    void _bn_backward "nn::bn_act_backward"(const Kernels&, const float* g, const float* out, const float* y,
                                            const float* mean, const float* inv_std, const float* gamma, float* gy,
                                            float* dgamma, float* dbeta, float* masked, long rows, int channels,
                                            int threads) except +
    void _conv_bn_forward "nn::conv_bn_act_forward"(
        const Kernels&, const Conv&, const float* x, const float* weight, const float* gamma, const float* beta,
        const float* residual, float eps, cpp_bool relu, float* y, float* out, float* mean, float* inv_std, int boards,
        int threads) except +
    void _conv_bn_backward "nn::conv_bn_act_backward"(
        const Kernels&, const Conv&, const float* g, const float* out, const float* y, const float* mean,
        const float* inv_std, const float* gamma, const float* x, const float* weight, float* gx, float* gw,
        float* dgamma, float* dbeta, float* masked, int boards, int threads) except +
    void _sgd_update "nn::sgd_update"(float* p, const float* g, float* velocity, long size, float lr, float momentum,
                                      float weight_decay, cpp_bool nesterov)
    cdef cppclass _Tower "nn::Tower":
        _Tower(const Kernels&, int rows, int cols) except +
        void add(Tile, const float* weight, const float* bias, int inputs, int outputs, int residual,
                 cpp_bool relu) except +
        void run(const float* x, const float* outside, float* y, int boards, int threads) except +


cdef extern from "amx_engine.hpp" namespace "nn" nogil:
    cdef cppclass AmxKernels:
        pass
    const AmxKernels* amx_kernels()
    void _amx_conv3x3 "nn::amx_conv3x3"(const AmxKernels&, int rows, int cols, const float* x, const float* weight,
                                        const float* bias, float* y, int inputs, int outputs, int boards,
                                        int threads) except +
    void _amx_grad_weight "nn::amx_grad_weight"(const AmxKernels&, int rows, int cols, const float* x, const float* g,
                                                float* gradient, int inputs, int outputs, int boards,
                                                int threads) except +
    cdef cppclass _AmxTower "nn::AmxTower":
        _AmxTower(const AmxKernels&, int rows, int cols) except +
        void add(const float* weight, const float* bias, int inputs, int outputs, int residual, cpp_bool relu) except +
        void run(const float* x, const float* outside, float* y, int boards, int threads) except +


cdef extern from "int8_tower.hpp" namespace "nn" nogil:
    cdef cppclass Int8Kernels:
        pass
    const Int8Kernels* int8_kernels()
    cdef cppclass _Int8Tower "nn::Int8Tower":
        _Int8Tower(const Int8Kernels&, int rows, int cols) except +
        void add(const signed char* weight, const float* scale, const float* bias, float input_scale, int inputs,
                 int outputs, int residual, cpp_bool relu) except +
        void run(const float* x, const float* outside, float* y, int boards, int threads) except +


def has_vnni():
    """Whether this build and processor have the 8-bit kernels."""
    return int8_kernels() != NULL


def has_amx():
    """Whether this build, processor and kernel have the bfloat16 kernels for AMX."""
    return amx_kernels() != NULL


def supported():
    """Names of the instruction sets that this build and this processor have, best first."""
    return [name for name in ("avx512", "avx2") if find_kernels(name.encode()) != NULL]


cdef const Kernels* _table(str isa) except NULL:
    cdef const Kernels* table = find_kernels(isa.encode())
    if table == NULL:
        raise ValueError(f"isa {isa!r}: this processor runs {supported() or 'none of the compiled kernels'}")
    return table


cdef Tile _tile(tile, int rows, int cols) except *:
    cdef Tile chosen = best_tile(rows, cols)
    if tile is not None:
        chosen.rows, chosen.cols = tile
        if not (2 <= chosen.rows <= 4 and 2 <= chosen.cols <= 4):
            raise ValueError(f"tile {tile}: both numbers must be 2, 3 or 4")
    return chosen


cdef const float* _at(array) except? NULL:
    """Address of a dense float32 array, null for None."""
    cdef const float[::1] flat
    if array is None or array.size == 0:
        return NULL
    flat = array.reshape(-1)
    return &flat[0]


cdef Conv _shape(x, int outputs, tile) except *:
    cdef Conv shape
    shape.rows, shape.cols, shape.inputs = x.shape[1:]
    shape.outputs = outputs
    shape.tile = _tile(tile, shape.rows, shape.cols)
    return shape


def conv3x3(x, weight, bias, str isa, int threads, tile=None):
    """`x [n, rows, cols, ci]`, `weight [3, 3, ci, co]`, `bias [co]` or None -> `[n, rows, cols, co]`."""
    cdef const Kernels* kernels = _table(isa)
    cdef Conv shape = _shape(x, weight.shape[3], tile)
    y = np.empty((*x.shape[:3], weight.shape[3]), np.float32)
    cdef const float* px = _at(x)
    cdef const float* pw = _at(weight)
    cdef const float* pb = _at(bias)
    cdef float* py = <float*>_at(y)
    cdef int boards = x.shape[0]
    if y.size:
        with nogil:
            _conv3x3(kernels[0], shape, px, pw, pb, py, boards, threads)
    return y


def conv3x3_grad_weight(x, g, str isa, int threads, tile=None):
    """`x [n, rows, cols, ci]`, `g [n, rows, cols, co]` -> the filter's gradient `[3, 3, ci, co]`."""
    cdef const Kernels* kernels = _table(isa)
    cdef Conv shape = _shape(x, g.shape[3], tile)
    gradient = np.empty((3, 3, x.shape[3], g.shape[3]), np.float32)
    cdef const float* px = _at(x)
    cdef const float* pg = _at(g)
    cdef float* to = <float*>_at(gradient)
    cdef int boards = x.shape[0]
    with nogil:
        _grad_weight(kernels[0], shape, px, pg, to, boards, threads)
    return gradient


def dense(x, weight, bias, cpp_bool relu, str isa, int threads):
    """`x [rows, in]`, `weight [in, out]`, `bias [out]` or None -> `[rows, out]`."""
    cdef const Kernels* kernels = _table(isa)
    y = np.empty((x.shape[0], weight.shape[1]), np.float32)
    cdef const float* px = _at(x)
    cdef const float* pw = _at(weight)
    cdef const float* pb = _at(bias)
    cdef float* py = <float*>_at(y)
    cdef long rows = x.shape[0]
    cdef int inputs = weight.shape[0], outputs = weight.shape[1]
    with nogil:
        _dense(kernels[0], px, pw, pb, relu, py, rows, inputs, outputs, threads)
    return y


def global_pool(x, str isa, int threads):
    """See `nn.reference.global_pool`; `x` has at least one point."""
    cdef const Kernels* kernels = _table(isa)
    y = np.empty((x.shape[0], 2 * x.shape[3]), np.float32)
    cdef const float* px = _at(x)
    cdef float* py = <float*>_at(y)
    cdef int boards = x.shape[0], channels = x.shape[3]
    cdef long points = x.shape[1] * x.shape[2]
    with nogil:
        _global_pool(kernels[0], px, py, boards, points, channels, threads)
    return y


def bn_act_forward(y, gamma, beta, residual, float eps, cpp_bool relu, str isa, int threads):
    """See `nn.reference.bn_act_forward`; `y` has at least one row."""
    cdef const Kernels* kernels = _table(isa)
    out = np.empty_like(y)
    mean, inv_std = np.empty_like(gamma), np.empty_like(gamma)
    cdef const float* py = _at(y)
    cdef const float* pg = _at(gamma)
    cdef const float* pb = _at(beta)
    cdef const float* pr = _at(residual)
    cdef float* po = <float*>_at(out)
    cdef float* pm = <float*>_at(mean)
    cdef float* pi = <float*>_at(inv_std)
    cdef int channels = gamma.size
    cdef long rows = y.size // channels
    with nogil:
        _bn_forward(kernels[0], py, pg, pb, pr, eps, relu, po, pm, pi, rows, channels, threads)
    return out, mean, inv_std


def bn_act_backward(g, out, y, mean, inv_std, gamma, cpp_bool relu, cpp_bool need_residual, str isa, int threads):
    """See `nn.reference.bn_act_backward`; `y` has at least one row."""
    cdef const Kernels* kernels = _table(isa)
    gy, dgamma, dbeta = np.empty_like(y), np.empty_like(gamma), np.empty_like(gamma)
    masked = np.empty_like(y) if need_residual else None
    cdef const float* pg = _at(g)
    cdef const float* po = _at(out) if relu else NULL
    cdef const float* py = _at(y)
    cdef const float* pm = _at(mean)
    cdef const float* pi = _at(inv_std)
    cdef const float* pa = _at(gamma)
    cdef float* to = <float*>_at(gy)
    cdef float* da = <float*>_at(dgamma)
    cdef float* db = <float*>_at(dbeta)
    cdef float* res = <float*>_at(masked)
    cdef int channels = gamma.size
    cdef long rows = y.size // channels
    with nogil:
        _bn_backward(kernels[0], pg, po, py, pm, pi, pa, to, da, db, res, rows, channels, threads)
    return gy, dgamma, dbeta, masked


def conv_bn_act_forward(x, weight, gamma, beta, residual, float eps, cpp_bool relu, str isa, int threads):
    """See `nn.reference.conv_bn_act_forward`; there is at least one board."""
    cdef const Kernels* kernels = _table(isa)
    cdef Conv shape = _shape(x, weight.shape[3], None)
    y = np.empty((*x.shape[:3], weight.shape[3]), np.float32)
    out, mean, inv_std = np.empty_like(y), np.empty_like(gamma), np.empty_like(gamma)
    cdef const float* px = _at(x)
    cdef const float* pw = _at(weight)
    cdef const float* pg = _at(gamma)
    cdef const float* pb = _at(beta)
    cdef const float* pr = _at(residual)
    cdef float* py = <float*>_at(y)
    cdef float* po = <float*>_at(out)
    cdef float* pm = <float*>_at(mean)
    cdef float* pi = <float*>_at(inv_std)
    cdef int boards = x.shape[0]
    with nogil:
        _conv_bn_forward(kernels[0], shape, px, pw, pg, pb, pr, eps, relu, py, po, pm, pi, boards, threads)
    return y, out, mean, inv_std


def conv_bn_act_backward(g, out, y, mean, inv_std, gamma, x, weight, cpp_bool relu, cpp_bool need_input,
                         cpp_bool need_residual, str isa, int threads):
    """See `nn.reference.conv_bn_act_backward`; there is at least one board."""
    cdef const Kernels* kernels = _table(isa)
    cdef Conv shape = _shape(x, weight.shape[3], None)
    gw, dgamma, dbeta = np.empty_like(weight), np.empty_like(gamma), np.empty_like(gamma)
    gx = np.empty_like(x) if need_input else None
    masked = np.empty_like(y) if need_residual else None
    cdef const float* pg = _at(g)
    cdef const float* po = _at(out) if relu else NULL
    cdef const float* py = _at(y)
    cdef const float* pm = _at(mean)
    cdef const float* pi = _at(inv_std)
    cdef const float* pa = _at(gamma)
    cdef const float* px = _at(x)
    cdef const float* pw = _at(weight)
    cdef float* to_x = <float*>_at(gx)
    cdef float* to_w = <float*>_at(gw)
    cdef float* da = <float*>_at(dgamma)
    cdef float* db = <float*>_at(dbeta)
    cdef float* res = <float*>_at(masked)
    cdef int boards = x.shape[0]
    with nogil:
        _conv_bn_backward(kernels[0], shape, pg, po, py, pm, pi, pa, px, pw, to_x, to_w, da, db, res, boards, threads)
    return gx, gw, dgamma, dbeta, masked


def sgd_update(float[::1] p, const float[::1] g, float[::1] velocity, float lr, float momentum, float weight_decay,
               cpp_bool nesterov):
    """See `nn.reference.sgd_update`."""
    if not p.shape[0] == g.shape[0] == velocity.shape[0]:
        raise ValueError("sgd_update: the arrays differ in size")
    if p.shape[0]:
        with nogil:
            _sgd_update(&p[0], &g[0], &velocity[0], p.shape[0], lr, momentum, weight_decay, nesterov)


cdef class Tower:
    """The layers of `nn.cpu.Tower`, their filters transformed once."""
    cdef _Tower* tower
    cdef int rows, cols, threads, outputs

    def __cinit__(self, int rows, int cols, int threads, str isa):
        self.tower = new _Tower(_table(isa)[0], rows, cols)
        self.rows, self.cols, self.threads = rows, cols, threads

    def __dealloc__(self):
        del self.tower

    def add(self, weight, bias, int residual, cpp_bool relu, tile=None):
        self.tower.add(_tile(tile, self.rows, self.cols), _at(weight), _at(bias), weight.shape[2], weight.shape[3],
                       residual, relu)
        self.outputs = weight.shape[3]

    def run(self, x, outside):
        y = np.empty((x.shape[0], self.rows, self.cols, self.outputs), np.float32)
        cdef const float* px = _at(x)
        cdef const float* po = _at(outside)
        cdef float* py = <float*>_at(y)
        cdef int boards = x.shape[0]
        with nogil:
            self.tower.run(px, po, py, boards, self.threads)
        return y


def amx_conv3x3(x, weight, bias, int threads):
    """`conv3x3` with operands rounded to bfloat16; needs `has_amx()`."""
    y = np.empty((*x.shape[:3], weight.shape[3]), np.float32)
    cdef const float* px = _at(x)
    cdef const float* pw = _at(weight)
    cdef const float* pb = _at(bias)
    cdef float* py = <float*>_at(y)
    cdef int boards = x.shape[0], rows = x.shape[1], cols = x.shape[2]
    cdef int inputs = x.shape[3], outputs = weight.shape[3]
    if y.size:
        with nogil:
            _amx_conv3x3(amx_kernels()[0], rows, cols, px, pw, pb, py, inputs, outputs, boards, threads)
    return y


def amx_conv3x3_grad_weight(x, g, int threads):
    """`conv3x3_grad_weight` with operands rounded to bfloat16; needs `has_amx()`."""
    gradient = np.empty((3, 3, x.shape[3], g.shape[3]), np.float32)
    cdef const float* px = _at(x)
    cdef const float* pg = _at(g)
    cdef float* to = <float*>_at(gradient)
    cdef int boards = x.shape[0], rows = x.shape[1], cols = x.shape[2]
    cdef int inputs = x.shape[3], outputs = g.shape[3]
    with nogil:
        _amx_grad_weight(amx_kernels()[0], rows, cols, px, pg, to, inputs, outputs, boards, threads)
    return gradient


cdef class AmxTower:
    """The layers of `nn.cpu.Tower` in bfloat16; needs `has_amx()`."""
    cdef _AmxTower* tower
    cdef int rows, cols, threads, outputs

    def __cinit__(self, int rows, int cols, int threads):
        if not has_amx():
            raise ValueError("AmxTower: this processor has no AMX")
        self.tower = new _AmxTower(amx_kernels()[0], rows, cols)
        self.rows, self.cols, self.threads = rows, cols, threads

    def __dealloc__(self):
        del self.tower

    def add(self, weight, bias, int residual, cpp_bool relu):
        self.tower.add(_at(weight), _at(bias), weight.shape[2], weight.shape[3], residual, relu)
        self.outputs = weight.shape[3]

    def run(self, x, outside):
        y = np.empty((x.shape[0], self.rows, self.cols, self.outputs), np.float32)
        cdef const float* px = _at(x)
        cdef const float* po = _at(outside)
        cdef float* py = <float*>_at(y)
        cdef int boards = x.shape[0]
        if boards:
            with nogil:
                self.tower.run(px, po, py, boards, self.threads)
        return y


cdef class Int8Tower:
    """The layers of `nn.cpu.Int8Tower`; needs `has_vnni()`."""
    cdef _Int8Tower* tower
    cdef int rows, cols, threads, outputs

    def __cinit__(self, int rows, int cols, int threads):
        if not has_vnni():
            raise ValueError("Int8Tower: this processor has no AVX-512 VNNI")
        self.tower = new _Int8Tower(int8_kernels()[0], rows, cols)
        self.rows, self.cols, self.threads = rows, cols, threads

    def __dealloc__(self):
        del self.tower

    def add(self, const signed char[:, :, :, ::1] weight, scale, bias, float input_scale, int residual,
            cpp_bool relu):
        self.tower.add(&weight[0, 0, 0, 0], _at(scale), _at(bias), input_scale, weight.shape[2], weight.shape[3],
                       residual, relu)
        self.outputs = weight.shape[3]

    def run(self, x, outside):
        y = np.empty((x.shape[0], self.rows, self.cols, self.outputs), np.float32)
        cdef const float* px = _at(x)
        cdef const float* po = _at(outside)
        cdef float* py = <float*>_at(y)
        cdef int boards = x.shape[0]
        if boards:
            with nogil:
                self.tower.run(px, po, py, boards, self.threads)
        return y
