"""Symmetries of a board as permutations: `new[permutation[p]] = old[p]`."""
import numpy as np


def board_symmetries(rows: int, cols: int, extra_actions: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """The reflections and rotations of a board whose actions are its points, then `extra_actions` (a pass) fixed ones.

    A square has 8, another rectangle 4; the identity comes first. A list of (action permutation int32
    [rows * cols + extra_actions], point permutation int32 [rows * cols]).
    """
    points = np.arange(rows * cols, dtype=np.int32).reshape(rows, cols)
    views = [points, points[:, ::-1], points[::-1], points[::-1, ::-1]]
    if rows == cols:
        views += [view.T for view in views]
    extra = np.arange(rows * cols, rows * cols + extra_actions, dtype=np.int32)
    return [(np.concatenate([view.ravel(), extra]), view.ravel().copy()) for view in views]


def mirror_columns(rows: int, cols: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two symmetries of a game whose actions are columns: the identity and the mirror."""
    points = np.arange(rows * cols, dtype=np.int32).reshape(rows, cols)
    columns = np.arange(cols, dtype=np.int32)
    return [(columns, points.ravel().copy()), (columns[::-1].copy(), points[:, ::-1].ravel().copy())]
