"""The pattern task: one input raster, the same in every epoch, and the raster that the net is to answer with."""

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from qsnn.data.formats.arrays import ARRAY_SUFFIXES, PICTURE_SUFFIXES, read_array, read_picture
from qsnn.data.generators.poisson import generate_poisson_input
from qsnn.data.generators.targets import built_in_targets, draw_target, is_built_in_target, keep_pixels
from qsnn.data.words import TARGET
from qsnn.errors import DataError
from qsnn.options import Option, key, option


class Pattern(NamedTuple):
    """Input [T, 1, num_inputs] and target [T, 1, num_outputs] spikes, both float32 of 0/1; the 1 is the batch."""

    input: Tensor
    target: Tensor


def load_pattern(
    *,
    input: str | None,
    target: str,
    num_steps: int,
    num_inputs: int,
    num_outputs: int,
    density: float,
    threshold: float,
    seed: int,
) -> Pattern:
    """Load or generate the pattern task's two rasters. The same arguments give the same rasters.

    Args:
        input: None for a generated Poisson raster (`generate_poisson_input`), else an array file (`read_array`) of
            shape [num_inputs, num_steps], as the original program had it, or [num_steps, num_inputs]. Where the two are
            equal the first is meant.
        target: a name for `draw_target`; or an array file of shape [num_steps, num_outputs]; or a picture file
            (`read_picture`), x to the right being time and y down being neurons.
        num_steps: T, time steps.
        num_inputs: input channels.
        num_outputs: output neurons.
        density: probability in [0, 1] with which a set pixel of a drawing or a picture is kept. An array file is taken
            as it is.
        threshold: gray value in [0, 1] above which a picture's pixel is set.
        seed: integer >= 0; input and target draw from separate streams of it, so neither moves when the other changes.

    Raises:
        DataError: an unknown target, a file that cannot be read, or one whose shape does not fit.
    """
    if input is None:
        spikes = generate_poisson_input(num_steps, num_inputs, seed)
    else:
        spikes = _to_tensor(_read_input(Path(input).expanduser(), num_steps, num_inputs))
    if is_built_in_target(target):
        picture = keep_pixels(draw_target(target, num_steps, num_outputs), density, seed)
    else:
        picture = _read_target(target, num_steps, num_outputs, density, threshold, seed)
    return Pattern(spikes.unsqueeze(1), _to_tensor(picture).unsqueeze(1))


def _to_tensor(raster: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(raster, dtype=np.float32))


def _read_input(path: Path, num_steps: int, num_inputs: int) -> np.ndarray:
    def check_shape(shape: tuple[int, ...]) -> None:
        if shape not in ((num_inputs, num_steps), (num_steps, num_inputs)):
            raise DataError(
                f"{path} holds an array of shape {list(shape)}; an input has [num_inputs, num_steps] = "
                f"{[num_inputs, num_steps]} or its transpose: change dataset.num_inputs and dataset.num_steps, or the file"
            )

    array = read_array(path, "input", check_shape)
    return array.T if array.shape == (num_inputs, num_steps) else array


def _read_target(
    target: str, num_steps: int, num_outputs: int, density: float, threshold: float, seed: int
) -> np.ndarray:
    path = Path(target).expanduser()
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        picture = read_picture(path, height=num_outputs, width=num_steps, threshold=threshold)
        return keep_pixels(picture.T, density, seed)
    if suffix not in ARRAY_SUFFIXES:
        raise DataError(_unknown_target(target))

    def check_shape(shape: tuple[int, ...]) -> None:
        if shape != (num_steps, num_outputs):
            raise DataError(
                f"{path} holds an array of shape {list(shape)}; a target has [num_steps, num_outputs] = "
                f"{[num_steps, num_outputs]}: change dataset.num_steps and dataset.num_outputs, or the file"
            )

    return read_array(path, "target", check_shape)


def _unknown_target(target: str) -> str:
    names = built_in_targets()
    nearest = difflib.get_close_matches(target, names, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return (
        f"target {target!r} is not built in and names no file of a known kind; {hint}built in are {', '.join(names)} "
        f"and letters:TEXT; files end in {' '.join((*ARRAY_SUFFIXES, *PICTURE_SUFFIXES))}"
    )


@option("dataset", "pattern")
@dataclass
class PatternOption(Option):
    """Poisson input spike trains and a picture to retain: one input raster and one target raster, the same in every epoch."""

    gives: ClassVar[frozenset[str]] = frozenset({TARGET})

    num_inputs: int = key(700, "input channels", "", "nb_inputs", at_least=1, at_most=1_000_000)
    num_outputs: int = key(250, "output neurons", "", "nb_outputs", at_least=1, at_most=1_000_000)
    input: str | None = key(
        None,
        "input raster file (.npy .npz .pt .pkl), [inputs, steps]; null: generated Poisson spike trains",
        "",
        "input",
    )
    target: str = key(
        "smile", "target raster file [steps, outputs], picture file (.png .jpg), or built-in: smile, tree, letters:nd ...",
        "", "target",
    )  # fmt: skip
    num_steps: int = key(250, "length of input and target", "time steps", "nb_steps", at_least=1, at_most=10_000_000)
    density: float = key(
        0.95,
        "probability with which each set pixel of a picture is kept",
        "",
        "in the file's name",
        at_least=0,
        at_most=1,
    )
    threshold: float = key(
        0.5, "pixels of a picture file brighter than this share of white are set", at_least=0, at_most=1
    )
    seed: int = key(
        0, "seed of the generated input and of the kept pixels", "", "none: fixed files", at_least=0, at_most=2**63
    )

    def load(self) -> Pattern:
        """Input and target rasters. Raises DataError, for a target without spikes too."""
        pattern = load_pattern(**vars(self))
        if not pattern.target.any():
            chosen = f"with dataset.density={self.density:g} and dataset.threshold={self.threshold:g}"
            learned = "a net that never spikes has learned it; give one with spikes"
            raise DataError(f"dataset.target={self.target} is empty, {chosen}: {learned}")
        return pattern


def fingerprint(pattern: Pattern) -> str:
    """A hash of input and target, so that a run is never resumed on other data."""
    digest = hashlib.blake2b(digest_size=16)
    for raster in pattern:
        digest.update(str(tuple(raster.shape)).encode())
        digest.update(raster.to(torch.uint8).cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
