"""Points of a board as text, in the two notations in use."""

GTP_LETTERS = "ABCDEFGHJKLMNOPQRSTUVWXYZ"
CELL_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def gtp_vertex(point: int, rows: int, cols: int) -> str:
    """The point `row * cols + col` (row 0 on top) as a vertex of the Go Text Protocol.

    Columns skip the letter I, row 1 is at the bottom.
    """
    row, col = divmod(point, cols)
    return f"{GTP_LETTERS[col]}{rows - row}"


def parse_gtp_vertex(text: str, rows: int, cols: int) -> int | None:
    """The inverse of `gtp_vertex`, in upper or lower case; None if the board has no such point."""
    col, number = _split(text.strip().upper(), GTP_LETTERS[:cols])
    return (rows - number) * cols + col if 1 <= number <= rows else None


def cell_name(point: int, cols: int) -> str:
    """The point `row * cols + col` as a column letter and a row number counted from the top: a1, b1, ..."""
    row, col = divmod(point, cols)
    return f"{CELL_LETTERS[col]}{row + 1}"


def parse_cell(text: str, rows: int, cols: int) -> int | None:
    """The inverse of `cell_name`, in upper or lower case; None if the board has no such cell."""
    col, number = _split(text.strip().lower(), CELL_LETTERS[:cols])
    return (number - 1) * cols + col if 1 <= number <= rows else None


def draw_points(stones, symbols: str = ".XO") -> str:
    """The stones [rows, cols] with GTP coordinates around them."""
    rows, cols = stones.shape
    letters = "   " + " ".join(GTP_LETTERS[:cols])
    lines = [f"{rows - row:2d} " + " ".join(symbols[stone] for stone in stones[row]) for row in range(rows)]
    return "\n".join([*lines, letters])


def parse_size(text: str, family: str) -> tuple[int, int]:
    """The rows and columns in a game's name: "9" is (9, 9), "9x13" is 9 rows of 13. Raises ValueError otherwise."""
    rows, times, cols = text.partition("x")
    if not (rows.isascii() and rows.isdigit() and (cols.isascii() and cols.isdigit() if times else True)):
        raise ValueError(f"unknown game '{family}{text}': write {family}SIZE or {family}ROWSxCOLUMNS, as in {family}9")
    return int(rows), int(cols) if times else int(rows)


def _split(text: str, letters: str) -> tuple[int, int]:
    """The column's index and the row's number; the number 0 if this is no point."""
    column, number = text[:1], text[1:]
    if not column or column not in letters or not (number.isascii() and number.isdigit()):
        return 0, 0
    return letters.index(column), int(number)
