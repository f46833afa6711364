import numpy as np
import pytest

from qsnn.data.generators.font import text_bitmap
from qsnn.data.generators.targets import built_in_targets, draw_target, is_built_in_target, keep_pixels

SIZES = [(250, 250), (60, 40), (40, 60), (1000, 24), (24, 1000)]


def as_lines(target: np.ndarray) -> list[str]:
    """The picture as a raster plot shows it: time to the right, neuron 0 at the top."""
    return ["".join(".#"[pixel] for pixel in row) for row in target.T.astype(int)]


def test_built_in_targets_names_the_original_pictures():
    assert built_in_targets() == ["smile", "tree", "nd", "lab", "nand"]
    assert all(is_built_in_target(name) for name in [*built_in_targets(), "letters:snn", "letters:?"])
    assert not is_built_in_target("smile.png")


@pytest.mark.parametrize("name", ["smile", "tree", "nd", "lab", "nand", "letters:S4u"])
@pytest.mark.parametrize(("num_steps", "num_outputs"), SIZES)
def test_draw_target_fills_a_sensible_part_of_any_size(name, num_steps, num_outputs):
    target = draw_target(name, num_steps, num_outputs)
    assert target.shape == (num_steps, num_outputs)
    assert target.dtype == bool
    assert 0.1 < target.mean() < 0.6
    columns = np.flatnonzero(target.any(axis=1))
    assert columns[0] < 0.15 * num_steps
    assert columns[-1] > 0.85 * num_steps - 1


@pytest.mark.parametrize("name", ["smile", "tree"])
def test_draw_target_is_told_apart_at_eight_by_eight(name):
    assert 8 < draw_target(name, 8, 8).sum() < 56


def test_draw_target_letters_stand_upright_with_time_to_the_right():
    assert as_lines(draw_target("letters:L4", 11, 7)) == [
        "#........#.",
        "#.......##.",
        "#......#.#.",
        "#.....#..#.",
        "#.....#####",
        "#........#.",
        "#####....#.",
    ]


def test_draw_target_smile_has_two_eyes_above_its_mouth():
    lines = as_lines(draw_target("smile", 48, 48))
    eyes, cheeks, mouth = lines[17], lines[24], lines[35]
    assert [len(part) for part in eyes.split(".") if part] == [len(part) for part in eyes[::-1].split(".") if part]
    assert sum(bool(part) for part in eyes.split(".")) == 4  # outline, eye, eye, outline
    assert sum(bool(part) for part in cheeks.split(".")) == 2  # outline alone
    assert mouth[24] == "#"
    assert lines == [line[::-1] for line in lines]


def test_draw_target_tree_is_wide_below_and_stands_on_a_trunk():
    widths = draw_target("tree", 60, 60).sum(axis=0)
    assert widths[5] < widths[20] < widths[47]
    assert widths[47] > 4 * widths[54] > 0


def test_draw_target_smile_outline_is_closed_where_a_stroke_is_thinner_than_a_pixel():
    target = draw_target("smile", 10, 10)
    assert target.any(axis=0).all()
    assert target.any(axis=1).all()


@pytest.mark.parametrize(("text", "lines"), [("nd", 7), ("no", 5), ("i", 7)])
def test_text_bitmap_has_no_empty_rows_or_columns_around_it(text, lines):
    bitmap = text_bitmap(text)
    assert len(bitmap) == lines
    assert bitmap[0].any()
    assert bitmap[-1].any()
    assert bitmap[:, 0].any()
    assert bitmap[:, -1].any()


def test_text_bitmap_tells_all_characters_apart():
    characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    # "H" gives the word its full height, so that characters of one shape and two heights differ.
    drawn = {text_bitmap("H" + character).tobytes() for character in characters}
    assert len(drawn) == len(characters) == 62


def test_draw_target_words_are_letters():
    assert np.array_equal(draw_target("nand", 90, 50), draw_target("letters:nand", 90, 50))


@pytest.mark.parametrize("text", ["", "nine chars", "abcdefghi", "ä", "a b", "a\n"])
def test_draw_target_refuses_text_that_it_cannot_draw(text, message_of):
    assert "1 to 8 characters of A-Z, a-z, 0-9" in message_of(draw_target, f"letters:{text}", 250, 250)


def test_draw_target_names_the_built_ins_for_an_unknown_name(message_of):
    assert "there are smile, tree, nd, lab, nand" in message_of(draw_target, "smiel", 250, 250)


def test_draw_target_says_how_much_room_a_word_needs(message_of):
    message = message_of(draw_target, "nand", 20, 250)
    assert "needs dataset.num_steps >= 23 and dataset.num_outputs >= 7" in message
    assert draw_target("nand", 23, 7).any()


@pytest.mark.parametrize("density", [0.3, 0.95])
def test_keep_pixels_keeps_set_pixels_at_the_density(density):
    picture = draw_target("tree", 250, 250)
    kept = keep_pixels(picture, density, seed=0)
    assert not (kept & ~picture).any()
    assert abs(kept.sum() / picture.sum() - density) < 0.015


def test_keep_pixels_is_whole_at_one_and_empty_at_zero():
    picture = draw_target("smile", 50, 50)
    assert np.array_equal(keep_pixels(picture, 1.0, seed=0), picture)
    assert not keep_pixels(picture, 0.0, seed=0).any()


def test_keep_pixels_at_a_lower_density_is_part_of_a_higher_one():
    picture = draw_target("smile", 50, 50)
    low, high = (keep_pixels(picture, density, seed=0) for density in (0.4, 0.8))
    assert not (low & ~high).any()
    assert np.array_equal(low, keep_pixels(picture, 0.4, seed=0))
    assert not np.array_equal(low, keep_pixels(picture, 0.4, seed=1))
