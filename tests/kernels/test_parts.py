"""Operations on parts of a batch: with sums and maxima over all parts they give what the whole batch gives, to the last bit."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qsnn.dynamics import LIFParameters, LIFState
from qsnn.dynamics.local_readout import MembraneError
from qsnn.dynamics.traces import TraceParameters
from qsnn.kernels.backend import Backend, ConvolutionSettings
from qsnn.kernels.eager import EAGER
from qsnn.kernels.local_backend import LOCAL_EAGER, LocalBackend
from qsnn.kernels.numba.backend import NUMBA
from qsnn.kernels.numba.local.backend import LOCAL_NUMBA
from qsnn.quantization import quantize, symmetric, unsigned
from qsnn.quantization.reductions import Reductions


class Parts:
    """Of a batch in two parts: the first pass over both collects what each has, the second gives each what both have."""

    def __init__(self) -> None:
        self.known: list[list[Tensor]] = []

    def both(self, work: Any) -> list[Any]:
        """``work(part, over)`` of both parts."""
        for _ in range(40):
            rows: list[list[Tensor]] = []
            results = [work(part, self._over(rows, part)) for part in range(2)]
            found = [self._joined(*pair) for pair in zip(*rows, strict=True)]
            if len(found) == len(self.known) and all(map(torch.equal, found, self.known)):
                return results
            self.known = found
        raise AssertionError("what the parts tell each other does not come to rest")

    def _over(self, rows: list[list[Tensor]], part: int) -> Reductions:
        rows.append([])

        def told(own: Tensor, kind: int) -> Tensor:
            place = len(rows[part])
            rows[part].append(torch.cat([torch.tensor([kind]), own.double().flatten()]))
            return self.known[place].view(own.shape).to(own) if place < len(self.known) else own.clone()

        return Reductions(lambda own: told(own, 0), lambda own: told(own, 1))

    @staticmethod
    def _joined(one: Tensor, other: Tensor) -> Tensor:
        assert one[0] == other[0]
        return torch.maximum(one, other)[1:] if one[0] == 0 else (one + other)[1:]


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("backend", [EAGER, NUMBA], ids=["eager", "numba"])
@settings(max_examples=8, deadline=None)
@given(cut=st.integers(0, 5), surrogate_bits=st.sampled_from([None, 13]), seed=st.integers(0, 99))
def test_errors_of_neurons(backend: Backend, cut: int, surrogate_bits: int | None, seed: int) -> None:
    neuron = LIFParameters(0.75, 0.875, 0.9, 5.0, 8, 8, 6, surrogate_bits=surrogate_bits)
    current, grad = quantize(drawn((7, 5, 3), seed), symmetric(8)), drawn((7, 5, 3), seed + 1) ** 3
    parts = slice(0, cut), slice(cut, 5)

    def back(part: slice, *more: Reductions) -> Tensor:
        x = current[:, part].contiguous()
        activity = backend.lif_sequence(x, LIFState.zeros(x[0]), neuron)
        return backend.lif_sequence_backward(grad[:, part].contiguous(), x, activity, None, neuron, *more)

    found = Parts().both(lambda part, over: back(parts[part], over))
    assert torch.equal(torch.cat(found, 1), back(slice(0, 5)))


@pytest.mark.parametrize("backend", [EAGER, NUMBA], ids=["eager", "numba"])
@pytest.mark.parametrize("error_bits", [8, 16])
def test_weight_gradients(backend: Backend, error_bits: int) -> None:
    spikes, errors = (drawn((9, 200, 4), 0) > 1.2).float(), quantize(drawn((9, 200, 6), 1), symmetric(error_bits))
    for name in ("weight_gradient", "recurrent_gradient"):
        x, operation = (spikes if name == "weight_gradient" else (errors > 0.7).float()), getattr(backend, name)
        cuts = slice(0, 60), slice(60, 200)
        parts = [(x[:, cut].contiguous(), errors[:, cut].contiguous()) for cut in cuts]
        found = Parts().both(lambda part, over: operation(*parts[part], error_bits, over))  # noqa: B023
        assert torch.equal(found[0], found[1])
        assert torch.equal(found[0], operation(x, errors, error_bits))


@pytest.mark.parametrize("backend", [EAGER, NUMBA], ids=["eager", "numba"])
@pytest.mark.parametrize("cut", [0, 2])
def test_errors_of_convolutions(backend: Backend, cut: int) -> None:
    x, grad = (drawn((4, 5, 2, 6, 6), 0) > 1).float(), drawn((4, 5, 3 * 36), 1)
    layer = ConvolutionSettings(quantize(drawn((3, 2, 3, 3), 2), symmetric(4)), 4, 2.0, 8, 1, 1)
    whole = backend.convolution_errors(x, grad, layer, True)
    parts = [(x[:, p].contiguous(), grad[:, p].contiguous()) for p in (slice(0, cut), slice(cut, 5))]
    found = Parts().both(lambda part, over: backend.convolution_errors(*parts[part], layer, True, over))
    assert torch.equal(torch.cat([grad_x for grad_x, _ in found], 1), whole[0])
    assert all(torch.equal(gradient, whole[1]) for _, gradient in found)


LAYERS = [  # of few channels, and of so many that 16-bit products are worth their kernels
    (LOCAL_EAGER, False, 2), (LOCAL_EAGER, True, 2), *((LOCAL_NUMBA, pooled, n) for pooled in (False, True) for n in (2, 16)),
]  # fmt: skip


@pytest.mark.parametrize(("backend", "pooled", "channels"), LAYERS)
def test_weight_gradients_of_local_layers(backend: LocalBackend, pooled: bool, channels: int) -> None:
    none, full_scale, fmt = torch.empty(0), 3.7, unsigned(8)
    traces = TraceParameters(none, none, none, none, full_scale, 1.0, 8, 8)
    trace = (full_scale * quantize(drawn((5, channels, 16, 16), 0).abs() / 3, fmt)).to(
        memory_format=torch.channels_last
    )
    sides = (8, 8) if pooled else (16, 16)
    at_winners = quantize(drawn((5, 32, *sides), 1) / 2, symmetric(6)).contiguous(memory_format=torch.channels_last)
    corners = (torch.arange(8)[:, None] * 32 + torch.arange(8) * 2).to(torch.int32)
    winner = (corners if pooled else torch.arange(256, dtype=torch.int32).view(16, 16)).expand(5, 32, *sides)
    winner = winner.contiguous(memory_format=torch.channels_last)

    def gradient(part: slice, *more: Reductions) -> Any:
        error = MembraneError(at_winners[part], winner[part], torch.tensor(-3 / 32), (16, 16), 6)
        return backend.weight_gradient(error, trace[part], torch.empty(32, channels, 5, 5), 2, traces, *more)

    whole = gradient(slice(0, 5))
    for cut in (0, 2):
        parts = slice(0, cut), slice(cut, 5)
        for part in Parts().both(lambda part, over: gradient(parts[part], over)):  # noqa: B023
            assert torch.equal(part.weight, whole.weight)
            assert torch.equal(part.bias, whole.bias)
