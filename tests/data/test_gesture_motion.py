import numpy as np
import pytest

from qsnn.data.generators.gestures.motion import (
    CLAPPING,
    CLASSES,
    DRUMS,
    FOREARM,
    LEFT,
    LEFT_CLOCKWISE,
    LEFT_COUNTER,
    LEFT_WAVE,
    OTHER,
    RIGHT,
    RIGHT_CLOCKWISE,
    RIGHT_COUNTER,
    RIGHT_WAVE,
    ROLL,
    UPPER_ARM,
    arm_joints,
    draw_take,
    draw_user,
    hand_paths,
)

SECOND = np.arange(0, 4, 0.01)


def paths_of(label: int, seed: int = 0, t: np.ndarray = SECOND) -> np.ndarray:
    rng = np.random.default_rng(seed)
    user, take = draw_user(rng), draw_take(rng)
    return hand_paths(label, user, take, rng, t)


def turning(path: np.ndarray) -> float:
    """Twice the area that the path sweeps in the picture: positive where it turns clockwise (y points downward)."""
    x, y = (path[:, :2] - path[:, :2].mean(axis=0)).T
    return float((x[:-1] * np.diff(y) - y[:-1] * np.diff(x)).sum())


def moves(path: np.ndarray) -> bool:
    return bool(np.ptp(path, axis=0).max() > 1)


def test_classes_are_those_of_the_ibm_set():
    assert len(CLASSES) == 11
    assert (CLASSES[0], CLASSES[3], CLASSES[10]) == ("hand clapping", "right arm clockwise", "other gestures")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("clockwise", "counter"), [(RIGHT_CLOCKWISE, RIGHT_COUNTER), (LEFT_CLOCKWISE, LEFT_COUNTER)])
def test_circles_turn_as_their_names_say(clockwise: int, counter: int, seed: int):
    arm = RIGHT if clockwise == RIGHT_CLOCKWISE else LEFT
    assert turning(paths_of(clockwise, seed)[arm]) > 1000
    assert turning(paths_of(counter, seed)[arm]) < -1000


@pytest.mark.parametrize("clockwise", [RIGHT_CLOCKWISE, LEFT_CLOCKWISE])
def test_circles_of_both_directions_run_along_the_same_path(clockwise: int):
    arm = RIGHT if clockwise == RIGHT_CLOCKWISE else LEFT
    rng = np.random.default_rng(1)
    user, take = draw_user(rng), draw_take(rng)._replace(wavers=np.zeros((3, 3)), start=0.0)
    turn = np.arange(200) / 200 / 1.2 / (user.tempo * take.tempo)  # one whole turn
    one, other = (hand_paths(label, user, take, rng, turn)[arm] for label in (clockwise, clockwise + 1))
    assert np.allclose(one[1:], other[:0:-1])


@pytest.mark.parametrize("label", range(OTHER))
def test_gestures_move_the_arms_that_they_name(label: int):
    right, left = (moves(path) for path in paths_of(label))
    only_right, only_left = {RIGHT_WAVE, RIGHT_CLOCKWISE, RIGHT_COUNTER}, {LEFT_WAVE, LEFT_CLOCKWISE, LEFT_COUNTER}
    assert right == (label not in only_left)
    assert left == (label not in only_right)


def test_clapping_hands_meet_and_drums_and_rolls_alternate():
    right, left = paths_of(CLAPPING)
    assert np.corrcoef(right[:, 0], left[:, 0])[0, 1] < -0.95  # toward each other
    for label in (DRUMS, ROLL):
        right, left = paths_of(label)
        assert np.corrcoef(right[:, 1], left[:, 1])[0, 1] < -0.5


def test_other_gestures_differ_from_recording_to_recording():
    rng = np.random.default_rng(0)
    user, take = draw_user(rng), draw_take(rng)
    one, other = (hand_paths(OTHER, user, take, rng, SECOND) for _ in range(2))
    assert np.abs(one - other).max() > 5


@pytest.mark.parametrize("label", range(len(CLASSES)))
@pytest.mark.parametrize("seed", range(3))
def test_arms_keep_their_lengths_and_hands_stay_in_reach(label: int, seed: int):
    hands = paths_of(label, seed)
    joints = arm_joints(hands, outward=0.5)
    for joint, length in ((0, UPPER_ARM), (1, FOREARM)):
        lengths = np.linalg.norm(joints[:, :, joint + 1] - joints[:, :, joint], axis=2)
        assert np.allclose(lengths, length)
    assert np.linalg.norm(joints[:, :, 2] - hands, axis=2).max() < 8  # a path out of reach is drawn in a little


def test_elbows_point_outward_and_down_of_the_line_to_the_hand():
    joints = arm_joints(paths_of(CLAPPING), outward=0.8)
    assert (joints[RIGHT, :, 1, 0] < joints[RIGHT, :, 2, 0]).all()
    assert (joints[LEFT, :, 1, 0] > joints[LEFT, :, 2, 0]).all()
    assert (joints[:, :, 1, 1] > 0).all()
