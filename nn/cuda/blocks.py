"""How a block of threads is cut out for a board and a width: the compile-time settings of boards.cuh."""

from dataclasses import dataclass

TILES_AT_ONCE = 6  # as in boards.cuh
OUTPUTS_OF_A_WARP = 32  # 6 tiles of 16 positions x 32 outputs are 96 sums a lane
WARPS = 8
SHARED_BYTES = 160 << 10  # what a block may have from compute capability 8.0 on (163 KB), less a little
MAX_CHANNELS = 128


def padded(channels):
    """Channels in whole steps of the tensor cores' products."""
    return -(-channels // 16) * 16


@dataclass(frozen=True)
class Block:
    """A block's share of the work: `boards` boards, `channels` outputs, `width` channels in shared memory."""

    rows: int
    cols: int
    boards: int
    channels: int
    width: int
    slots: int
    warps_m: int
    warps_n: int

    @property
    def threads(self):
        return 32 * self.warps_m * self.warps_n

    @property
    def shared_bytes(self):
        return 2 * self.slots * (self.boards * self.rows * self.cols + 1) * (self.width + 8)

    def options(self):
        """Compiler options."""
        names = ("rows", "cols", "boards", "channels", "width", "slots", "warps_m", "warps_n")
        return tuple(f"-D{name.upper()}={getattr(self, name)}" for name in names)


def choose(rows, cols, inputs, outputs, slots):
    """The `Block` for boards `rows` x `cols` with `slots` lists of images in shared memory, or None if none fits."""
    steps = padded(min(outputs, MAX_CHANNELS)) // 16
    warps_n = next(w for w in range(1, steps + 1) if steps % w == 0 and 16 * steps // w <= OUTPUTS_OF_A_WARP)
    warps_m = max(1, WARPS // warps_n)
    boards = max(1, 16 * TILES_AT_ONCE * warps_m // (rows * cols))
    width = padded(inputs if slots == 1 else max(inputs, outputs))
    for count in range(boards, 0, -1):
        block = Block(rows, cols, count, 16 * steps, width, slots, warps_m, warps_n)
        if block.shared_bytes <= SHARED_BYTES:
            return block
    return None
