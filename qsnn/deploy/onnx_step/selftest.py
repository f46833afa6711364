"""Runs step.onnx in onnxruntime on golden vectors of qsnn's integer engine: python selftest.py

Prints how many codes differ; exit code 0 if none does. Needs numpy and onnxruntime.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime


def compared(folder: Path) -> tuple[int, int]:
    """Codes compared, and how many of them differ."""
    golden = dict(np.load(folder / "golden.npz"))
    session = onnxruntime.InferenceSession(folder / "step.onnx", providers=["CPUExecutionProvider"])
    inputs, total, differ = golden.pop("input"), 0, 0
    state = {
        given.name: np.zeros([len(inputs) if side == "B" else side for side in given.shape], given.type[7:-1])
        for given in session.get_inputs()
        if given.name != "input"
    }
    names = [output.name for output in session.get_outputs()]
    for step in range(inputs.shape[1]):
        found = dict(zip(names, session.run(names, {"input": inputs[:, step], **state}), strict=True))
        state = {name: found[f"{name}.after"] for name in state}
        for name, expected in golden.items():
            wrong = found[name] != expected[:, step]
            total, differ = total + wrong.size, differ + int(wrong.sum())
            if wrong.any() and differ == wrong.sum():
                sample, number = np.argwhere(wrong)[0]
                print(f"{name}, sample {sample}, step {step}, number {number}: {found[name][sample, number]}")
    return total, differ


if __name__ == "__main__":
    codes, mismatches = compared(Path(__file__).parent)
    print(f"{codes} codes compared, {mismatches} mismatches")
    sys.exit(1 if mismatches or not codes else 0)
