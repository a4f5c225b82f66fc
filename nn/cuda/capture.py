"""CUDA graphs: a function of one batch, recorded once and launched as a whole."""

from nn.backend import cupy


class Captured:
    """`captured(x)` replays what `function(example)` did, on arrays of the example's shape and dtype, or of fewer rows.

    `function` returns a list of arrays, each with a row for every row of its argument, which depends on no other row.

    The function must do the same launches every time and no transfer to the host. It runs twice before the recording,
    so that kernels are compiled and libraries have their workspaces; its memory comes from a pool of the graph's own.
    The results are overwritten by the next call.
    """

    def __init__(self, function, example):
        xp = cupy()
        self._stream, self._pool = xp.cuda.Stream(non_blocking=True), xp.cuda.MemoryPool()
        self._input = example.copy()
        xp.cuda.get_current_stream().synchronize()
        with self._stream, xp.cuda.using_allocator(self._pool.malloc):
            for _ in range(2):
                function(self._input)
            self._stream.synchronize()
            self._stream.begin_capture()
            try:
                self.outputs = function(self._input)
            finally:
                self._graph = self._stream.end_capture()

    def __call__(self, x):
        n = len(x)
        if x.shape != (n, *self._input.shape[1:]) or n > len(self._input) or x.dtype != self._input.dtype:
            raise ValueError(f"captured for {self._input.shape} {self._input.dtype}, called with {x.shape} {x.dtype}")
        xp = cupy()
        current = xp.cuda.get_current_stream()
        self._stream.wait_event(current.record())
        with self._stream:
            self._input[:n] = x
            self._graph.launch(self._stream)
        current.wait_event(self._stream.record())
        return [out[:n] for out in self.outputs]
