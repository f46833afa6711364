"""Reads net.nir with norse and runs it on golden vectors of qsnn's integer engine: python selftest.py

Prints how many spikes differ; exit code 0 if none does. norse computes the neurons; the states are rounded as the metadata
says, at every step, which NIR has no words for. What comes without rounding is told too, for comparison. Needs nir, norse
and nirtorch.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import nir
import nirtorch
import norse.torch.module.leaky_integrator_box as li_box
import norse.torch.module.lif_box as lif_box
import numpy as np
import torch
from norse.torch.utils.import_nir import CubaLIF, _import_norse_module
from torch import Tensor


def exact(values: Any) -> Tensor:
    """Doubles: norse's own reading has float32, in which 1 / tau is rounded."""
    return torch.as_tensor(np.asarray(values), dtype=torch.float64)


class Rounding:
    """Of the ``part`` synapse or membrane of a node, to the codes that it has on hardware."""

    def __init__(self, about: dict[str, Any], part: str, on: bool) -> None:
        self.on = on
        self.bits, self.point, self.exact = (int(about[f"{part}_{name}"]) for name in ("bits", "point", "exact_point"))

    def __call__(self, x: Tensor) -> Tensor:
        """Values, as floats."""
        if not self.on:
            return x
        x = torch.round(x * 2.0**self.exact) * 2.0**-self.exact  # what floats lost
        if self.bits == 1:
            return torch.where(x < 0, -1.0, 1.0).to(x) * 2.0**-self.point
        highest = 2.0 ** (self.bits - 1) - 1
        return torch.round(x * 2.0**self.point).clamp(-highest, highest) * 2.0**-self.point


class Leak(torch.nn.Module):
    """norse's leaky integrator, its state rounded."""

    def __init__(self, tau: Any, dt: float, rounding: Rounding) -> None:
        super().__init__()
        self.cell = li_box.LIBoxCell(li_box.LIBoxParameters(1 / exact(tau), exact(0.0)), dt=dt)
        self.rounding = rounding

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """The new value, and the state."""
        _, state = self.cell(x, state)
        value = self.rounding(state.v)
        return value, state._replace(v=value)


class Fire(torch.nn.Module):
    """norse's neuron with reset by subtraction, its state rounded."""

    def __init__(self, tau: Any, threshold: Any, dt: float, about: dict[str, Any], rounding: Rounding) -> None:
        super().__init__()
        self.reset, self.rounding = float(about["reset_before_leak"]), rounding
        settings = lif_box.LIFBoxParameters(
            tau_mem_inv=1 / exact(tau),
            v_leak=exact(0.0),
            v_th=exact(threshold),
            v_reset=exact(0.0),
            reset_method=self.subtract,
        )
        self.cell = lif_box.LIFBoxCell(settings, dt=dt)

    def subtract(self, z: Tensor, v: Tensor, reset: Tensor, threshold: Tensor) -> Tensor:
        """A reset method of norse."""
        return v - z * self.reset

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """Spikes, and the state."""
        z, state = self.cell(x, state)
        return z, state._replace(v=self.rounding(state.v + z * self.reset) - z * self.reset)


class Gain(torch.nn.Module):
    """A neuron behind the factor r of its node."""

    def __init__(self, r: Any, cell: torch.nn.Module) -> None:
        super().__init__()
        self.r, self.cell = exact(r), cell

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """As the cell."""
        out, state = self.cell(self.r * x, state)
        return out, state


class Any1(torch.nn.Module):
    """nir.Threshold, which norse does not read."""

    def __init__(self, threshold: Any) -> None:
        super().__init__()
        self.threshold = exact(threshold)

    def forward(self, x: Tensor) -> Tensor:
        """0 and 1."""
        return (x > self.threshold).to(x)


def module_of(node: Any, dt: float, rounded: bool) -> Any:
    """norse's module of a node; of CubaLIF norse's too, made of cells that round."""
    about = node.metadata
    if isinstance(node, nir.Flatten):
        return torch.nn.Flatten(1)  # a batch comes first
    if isinstance(node, nir.Threshold):
        return Any1(node.threshold)
    if not isinstance(node, (nir.LIF, nir.CubaLIF, nir.CubaLI)):
        found = _import_norse_module(node, dt=dt)
        return None if found is None else found.double()
    membrane = Rounding(about, "membrane", rounded)
    tau = node.tau if isinstance(node, nir.LIF) else node.tau_mem
    spikes = not isinstance(node, nir.CubaLI)
    neuron = Fire(tau, node.v_threshold, dt, about, membrane) if spikes else Leak(tau, dt, membrane)
    if isinstance(node, nir.LIF):
        return Gain(node.r, neuron)
    synapse = Leak(node.tau_syn, dt, Rounding(about, "synapse", rounded))
    return CubaLIF(exact(node.w_in), synapse, exact(node.r), neuron)


class Whole(torch.nn.Module):
    """A neuron whose state goes from step to step as one thing."""

    def __init__(self, module: torch.nn.Module, kept: list[Tensor]) -> None:
        super().__init__()
        self.module, self.kept = module, kept

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """Output, and the state."""
        out, after = self.module(x, state)
        self.kept.append(out)
        return out, after


def run(graph: Any, inputs: np.ndarray, rounded: bool) -> dict[str, np.ndarray]:
    """What every neuron node gave, (S, T, N), by its name."""
    dt = float(graph.metadata["dt"])
    kept: dict[str, list[Tensor]] = {}
    names = {id(node): name for name, node in graph.nodes.items()}

    def mapped(node: Any) -> Any:
        module = module_of(node, dt, rounded)
        if not isinstance(node, (nir.LIF, nir.CubaLIF, nir.CubaLI)):
            return module
        return Whole(module, kept.setdefault(names[id(node)], []))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        net = nirtorch.load(graph, mapped)
    shape, state = tuple(graph.nodes["input"].output_type["output"]), None
    with torch.no_grad():
        for step in range(inputs.shape[1]):
            _, state = net(exact(inputs[:, step]).reshape(len(inputs), *shape), state)
    return {name: np.stack([out.flatten(1).numpy() for out in found], 1) for name, found in kept.items()}


def compared(folder: Path, rounded: bool = True) -> tuple[int, int, int]:
    """Spikes (or membranes of a readout) compared, how many differ, and how many are not 0."""
    graph, golden = nir.read(folder / "net.nir"), dict(np.load(folder / "golden.npz"))
    found, early = run(graph, golden.pop("input"), rounded), 0
    total = differ = busy = 0
    for name, node in graph.nodes.items():
        if name not in found:
            continue
        early += int(node.metadata["early"])
        expected = golden[name.removesuffix("_neurons")][:, early:]
        values = found[name][:, : expected.shape[1]] * 2.0 ** (
            int(node.metadata["membrane_point"]) if isinstance(node, nir.CubaLI) else 0
        )
        wrong = values != expected
        total, differ, busy = total + wrong.size, differ + int(wrong.sum()), busy + int((expected != 0).sum())
        if rounded and wrong.any():
            sample, step, number = np.argwhere(wrong)[0]
            print(f"{name}, sample {sample}, step {step + early}, neuron {number}: {values[sample, step, number]:g}")
    return total, differ, busy


if __name__ == "__main__":
    place = Path(__file__).parent
    codes, mismatches, active = compared(place)
    print(
        f"states rounded as the metadata says: {codes} values compared, {active} of them not 0, {mismatches} mismatches"
    )
    codes, plain, _ = compared(place, rounded=False)
    print(f"states not rounded: {plain} of {codes} values differ")
    sys.exit(1 if mismatches or not codes else 0)
