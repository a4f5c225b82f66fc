"""Cuts the fonts down to the characters that the window uses: `python gui/assets/make_fonts.py FOLDER`.

FOLDER holds NotoSansCJK-Regular.ttc and NotoSansCJK-Bold.ttc (Debian package fonts-noto-cjk). Needs fonttools. Run it
again when the string table gets a new Chinese character; a test says so.
"""

import sys
from pathlib import Path

from fontTools import subset

from gui.strings import LANGUAGES, STRINGS

HERE = Path(__file__).parent
SIMPLIFIED_CHINESE = 2  # the face's index in the collection
LATIN = "".join(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x180)]))
SIGNS = "‹›«»–—−×·…“”‘’←↑→↓"


def characters() -> set[str]:
    """Latin letters and signs, and every character of the string table."""
    texts = [text for pair in STRINGS.values() for text in pair]
    return set(LATIN + SIGNS + "".join(texts) + "".join(LANGUAGES.values()))


def main(folder: Path) -> None:
    for source, target in (("NotoSansCJK-Regular.ttc", "sans.otf"), ("NotoSansCJK-Bold.ttc", "sans-bold.otf")):
        options = subset.Options(font_number=SIMPLIFIED_CHINESE, layout_features=["kern"], hinting=False,
                                 desubroutinize=True)
        font = subset.load_font(folder / source, options)
        cutter = subset.Subsetter(options)
        cutter.populate(text="".join(characters()))
        cutter.subset(font)
        subset.save_font(font, HERE / target, options)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
