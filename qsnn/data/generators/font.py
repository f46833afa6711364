"""A 5 x 7 bitmap font of A-Z, a-z and 0-9, so that a word looks the same on every machine."""

import numpy as np

GLYPH_HEIGHT = 7

# Five columns a glyph, left to right, one byte each; the lowest bit is the top row.
_GLYPHS = {
    "0": "3e5149453e", "1": "00427f4000", "2": "4261514946", "3": "2241494936", "4": "1814127f10",
    "5": "2745454539", "6": "3c4a494930", "7": "0171090503", "8": "3649494936", "9": "064949291e",
    "A": "7e1111117e", "B": "7f49494936", "C": "3e41414122", "D": "7f4141413e", "E": "7f49494941",
    "F": "7f09090901", "G": "3e4149497a", "H": "7f0808087f", "I": "00417f4100", "J": "2040413f01",
    "K": "7f08142241", "L": "7f40404040", "M": "7f020c027f", "N": "7f0408107f", "O": "3e4141413e",
    "P": "7f09090906", "Q": "3e4151215e", "R": "7f09192946", "S": "4649494931", "T": "01017f0101",
    "U": "3f4040403f", "V": "1f2040201f", "W": "3f4038403f", "X": "6314081463", "Y": "0708700807",
    "Z": "6151494543",
    "a": "2054545478", "b": "7f48444438", "c": "3844444420", "d": "384444487f", "e": "3854545418",
    "f": "087e090102", "g": "085454543c", "h": "7f08040478", "i": "00447d4000", "j": "2040443d00",
    "k": "7f10284400", "l": "00417f4000", "m": "7c04180478", "n": "7c08040478", "o": "3844444438",
    "p": "7c14141408", "q": "081414187c", "r": "7c08040408", "s": "4854545420", "t": "043f444020",
    "u": "3c4040207c", "v": "1c2040201c", "w": "3c4030403c", "x": "4428102844", "y": "0c5050503c",
    "z": "4464544c44",
}  # fmt: skip


def text_bitmap(text: str) -> np.ndarray:
    """Return `text` as bool [rows, columns], top row first, without empty rows or columns around it.

    Glyphs keep their own widths and stand one empty column apart. Every character must be one of A-Z, a-z, 0-9.
    """
    gap = np.zeros((GLYPH_HEIGHT, 1), dtype=bool)
    parts = [part for character in text for part in (gap, _glyph(character))]
    bitmap = np.concatenate(parts[1:], axis=1)
    rows = np.flatnonzero(bitmap.any(axis=1))
    return bitmap[rows[0] : rows[-1] + 1]


def _glyph(character: str) -> np.ndarray:
    columns = np.frombuffer(bytes.fromhex(_GLYPHS[character]), dtype=np.uint8)
    columns = columns[columns > 0]
    bits = np.unpackbits(columns[:, None], axis=1, bitorder="little", count=GLYPH_HEIGHT)
    return bits.T.astype(bool)
