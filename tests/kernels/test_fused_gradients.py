"""The kernel that does a whole forward and backward pass gives the bits of the single operations, for nets of any depth."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qsnn.dynamics import LIFActivity, LIFParameters
from qsnn.kernels.backend import Backend, LayerPass, LayerSettings, NetPass
from qsnn.kernels.dense_layers import compose_gradients
from qsnn.kernels.dispatch import select_backend
from qsnn.kernels.eager import EAGER
from qsnn.kernels.numba.gradients import find_operands, fused_gradients
from qsnn.layers import SpikingLinear
from qsnn.losses import VanRossumDistance
from qsnn.models import SpikingNet
from qsnn.quantization import initial_weights, random_stream

NUMBA = select_backend("numba", "cpu")
LIF = LIFParameters(0.75, 0.875, 0.9, 100.0, 8, 8, 8)
Layers = tuple[LayerSettings, ...]
Arguments = tuple[Tensor, Tensor, Layers, float, float]


def spikes(seed: int, steps: int, batch: int, neurons: int, rate: float = 0.2) -> Tensor:
    return (torch.rand(steps, batch, neurons, generator=torch.Generator().manual_seed(seed)) < rate).float()


def weight(seed: int, inputs: int, neurons: int) -> Tensor:
    shape = inputs, neurons
    return initial_weights(random_stream(seed, str(shape)), shape, 0.99, None)


def net(seed: int, *sizes: int, steps: int = 30, batch: int = 1, bits: int = 2, lif: LIFParameters = LIF) -> Arguments:
    layers = tuple(LayerSettings(weight(seed, *shape), bits, 0.5, lif) for shape in pairwise(sizes))
    return spikes(seed, steps, batch, sizes[0]), spikes(seed + 1, steps, batch, sizes[-1]), layers, 0.75, 5e-3


def same(ours: Any, theirs: Any, tolerance: float = 0.0) -> None:
    if isinstance(theirs, Tensor):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, equal_nan=True)
    elif isinstance(theirs, tuple):
        for a, b in zip(ours, theirs, strict=True):
            same(a, b, tolerance)
    elif theirs is None:
        assert ours is None
    else:
        assert ours == pytest.approx(theirs, rel=tolerance, abs=0, nan_ok=True)


def fused(arguments: Arguments) -> NetPass:
    result = fused_gradients(*arguments)
    assert result is not None
    return result


def by_autograd(backend: Backend, x: Tensor, target: Tensor, layers: Layers, decay: float, tau: float) -> NetPass:
    """Forward pass of the net, `VanRossumDistance`, backward pass."""
    model = SpikingNet(
        {f"layer{n}": SpikingLinear(s.weight, s.scale, s.weight_bits, s.lif, backend) for n, s in enumerate(layers)}
    )
    activity, _ = model(x)
    for layer in activity.values():
        layer.current.retain_grad()
    distance = VanRossumDistance(decay, tau, backend)(activity[f"layer{len(layers) - 1}"].spikes, target)
    distance.backward()
    passes = [
        LayerPass(
            done.current.detach(), LIFActivity(done.spikes.detach(), done.synapse, done.membrane), done.current.grad,
            linear.gradient(),
        )
        for done, linear in zip(activity.values(), model.weights().values(), strict=True)
    ]  # fmt: skip
    return NetPass(distance.item(), tuple(passes))


def all_ways_are_the_same(arguments: Arguments, threads: int = 1) -> None:
    expected, before = EAGER.net_gradients(*arguments), torch.get_num_threads()
    same(by_autograd(EAGER, *arguments), expected)
    torch.set_num_threads(threads)
    try:
        same(NUMBA.net_gradients(*arguments), expected)
        same(compose_gradients(NUMBA, *arguments), expected)
        same(by_autograd(NUMBA, *arguments), expected)
    finally:
        torch.set_num_threads(before)


ORDINARY = {"weight": (1, 5), "first_weight": (1, 8), "state": (2, 9), "error": (2, 8)}
# So wide that a float still holds the sums of 70 products, and dense products are exact too.
ANY = {"weight": (1, 9), "first_weight": (1, 9), "state": (1, 10), "error": (1, 9)}


@st.composite
def nets(draw: st.DrawFn, widths: dict[str, tuple[int, int]], null_states: bool) -> Arguments:
    """Of one to four layers, each with sizes, bit widths and neurons of its own."""

    def bits(what: str) -> int | None:
        number = st.integers(*widths[what])
        return draw(st.none() | number if what == "state" and null_states else number)

    sizes = draw(st.lists(st.sampled_from([1, 8, 9, 16, 31, 33, 65, 70]), min_size=2, max_size=5))
    seed, batch, steps = draw(st.integers(0, 2**31)), draw(st.integers(1, 4)), draw(st.integers(1, 30))
    layers = []
    for number, shape in enumerate(pairwise(sizes)):
        lif = LIFParameters(
            *draw(st.tuples(*[st.sampled_from([0.75, 0.875, 0.5])] * 2)), draw(st.sampled_from([0.1, 0.3, 0.9])),
            draw(st.sampled_from([5.0, 100.0])), bits("state"), bits("state"), bits("error"), draw(st.booleans()),
        )  # fmt: skip
        width, scale = bits("weight" if number else "first_weight"), draw(st.sampled_from([0.5, 1.0, 4.0]))
        layers.append(LayerSettings(weight(seed, *shape), width, scale, lif))
    x = spikes(seed, steps, batch, sizes[0], draw(st.sampled_from([0.02, 0.2])))
    return x, spikes(seed + 1, steps, batch, sizes[-1]), tuple(layers), 0.75, 5e-3


@given(nets(ORDINARY, null_states=False), st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_fused_pass_equals_the_single_operations_and_autograd(arguments: Arguments, threads: int) -> None:
    if spikes_are_sparse(arguments[0]):
        assert find_operands(*arguments[:3]) is not None
    all_ways_are_the_same(arguments, threads)


def spikes_are_sparse(x: Tensor) -> bool:
    """With a slot to spare in each list, see `products.spike_lists`."""
    return bool(x.sum() + len(x) * x.shape[1] <= 0.5 * x.numel())


@given(nets(ANY, null_states=True), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_any_set_of_widths_by_layer_gives_the_bits_of_the_definition(arguments: Arguments, threads: int) -> None:
    all_ways_are_the_same(arguments, threads)


@pytest.mark.parametrize("sizes", [(33, 20), (33, 25, 20), (33, 25, 31, 20), (33, 25, 31, 9, 20)])
@pytest.mark.parametrize("where", ["everywhere", "in the first layer", "in the last layer"])
@pytest.mark.parametrize("what", ["weights", "errors", "all"])
def test_full_precision_gives_the_numbers_of_the_definition(sizes: tuple[int, ...], where: str, what: str) -> None:
    """To what the order of a sum of floats leaves open."""
    neurons = {
        "weights": LIF,
        "errors": LIF._replace(error_bits=None),
        "all": LIFParameters(*LIF[:4], None, None, None),
    }[what]
    change = {"weight_bits": 2 if what == "errors" else None, "lif": neurons._replace(threshold=0.5)}
    last = len(sizes) - 2
    chosen = {"everywhere": range(last + 1), "in the first layer": [0], "in the last layer": [last]}[where]
    arguments = net(1, *sizes, batch=2, lif=LIF._replace(threshold=0.5, surrogate_slope=5.0))
    arguments = with_layers(arguments, *(change if number in chosen else {} for number in range(last + 1)))
    assert fused_gradients(*arguments) is None
    expected = EAGER.net_gradients(*arguments)
    for ours in (NUMBA.net_gradients(*arguments), by_autograd(NUMBA, *arguments), by_autograd(EAGER, *arguments)):
        same(ours, expected, tolerance=1e-3)


DEPTHS = [(70, 25), (70, 40, 25), (70, 50, 40, 25), (70, 50, 40, 33, 25)]


@pytest.mark.parametrize("sizes", DEPTHS)
def test_fused_pass_is_taken_for_nets_of_any_depth_and_reaches_every_layer(sizes: tuple[int, ...]) -> None:
    arguments = net(0, *sizes, steps=100, lif=LIF._replace(threshold=0.5))
    result = fused(arguments)
    assert result.distance > 0
    assert len(result.layers) == len(sizes) - 1
    for layer in result.layers:
        assert layer.activity.spikes.mean() > 0.01
        assert layer.gradient.count_nonzero() > 0
    same(result, EAGER.net_gradients(*arguments))


def test_fused_pass_of_a_perfect_output_has_no_gradient() -> None:
    x, _, layers, decay, tau = net(0, 70, 40, 25)
    target = EAGER.net_gradients(x, spikes(1, 30, 1, 25), layers, decay, tau).layers[-1].activity.spikes
    result = fused((x, target, layers, decay, tau))
    assert result.distance == 0
    assert result.layers[-1].grad_current.count_nonzero() == 0
    same(result, EAGER.net_gradients(x, target, layers, decay, tau))


def with_layers(arguments: Arguments, *changes: dict[str, Any]) -> Arguments:
    """Layer by layer, changed settings."""
    x, target, layers, *loss = arguments
    changed = tuple(layer._replace(**change) for layer, change in zip(layers, changes, strict=True))
    return x, target, changed, *loss


def test_fused_pass_takes_layers_of_different_widths_and_neurons() -> None:
    first = LIF._replace(synapse_bits=9, membrane_bits=6, error_bits=4, surrogate_slope=5.0, synapse_decay=0.5)
    second = LIF._replace(threshold=0.4, threshold_mask=False)
    arguments = with_layers(
        net(3, 70, 50, 40, 25, steps=60),
        {"weight_bits": 8, "lif": first},
        {"weight_bits": 2, "lif": second, "scale": 1.0},
        {"weight_bits": 5},
    )
    assert all(layer.gradient.count_nonzero() for layer in fused(arguments).layers)
    same(fused(arguments), EAGER.net_gradients(*arguments))


NO_ERROR_BITS, WIDE_ERRORS = {"lif": LIF._replace(error_bits=None)}, {"lif": LIF._replace(error_bits=9)}
UNSUITABLE: dict[str, Any] = {
    "wide weights": lambda a: with_layers(a, {}, {"weight_bits": 8}),
    "wider weights in the first layer": lambda a: with_layers(a, {"weight_bits": 9}, {}),
    "full precision": lambda a: with_layers(a, {"weight_bits": None}, {"weight_bits": None}),
    "full precision in one layer": lambda a: with_layers(a, {}, {"weight_bits": None}),
    "odd scale": lambda a: with_layers(a, {}, {"scale": 3.0}),
    "dense input": lambda a: (torch.ones_like(a[0]), *a[1:]),
    "input of other numbers": lambda a: (a[0] / 2, *a[1:]),
    "large batch": lambda a: (a[0].repeat(1, 70, 1), a[1].repeat(1, 70, 1), *a[2:]),
    "no error bits": lambda a: with_layers(a, NO_ERROR_BITS, NO_ERROR_BITS),
    "no error bits in one layer": lambda a: with_layers(a, NO_ERROR_BITS, {}),
    "wide errors in one layer": lambda a: with_layers(a, {}, WIDE_ERRORS),
    "one-bit membranes in one layer": lambda a: with_layers(a, {}, {"lif": LIF._replace(membrane_bits=1)}),
    "decays of each neuron": lambda a: with_layers(a, {"lif": LIF._replace(synapse_decay=torch.full((16,), 0.75))}, {}),
}


@pytest.mark.parametrize("name", UNSUITABLE)
def test_what_the_fused_pass_is_not_made_for_goes_to_the_single_operations(name: str) -> None:
    arguments = UNSUITABLE[name](net(3, 20, 16, 8))
    assert fused_gradients(*arguments) is None
    tolerance = 1e-3 if "full precision" in name or "no error bits" in name else 0.0  # sums of floats, in any order
    same(NUMBA.net_gradients(*arguments), EAGER.net_gradients(*arguments), tolerance)


def test_fused_pass_of_sizes_that_do_not_match_is_an_error() -> None:
    x, target, layers, *loss = net(0, 20, 16, 8)
    for wrong in ((x[..., :19], target, layers), (x, target[:29], layers), (x, target, layers[:1] * 2)):
        with pytest.raises(RuntimeError):
            NUMBA.net_gradients(*wrong, *loss)
    assert fused_gradients(x, target[:, :, :1], layers, *loss) is None  # torch would broadcast it


@pytest.mark.parametrize("dense", [0, 1])
def test_fused_pass_leaves_dense_hidden_spikes_to_the_single_operations(dense: int) -> None:
    always = {"lif": LIF._replace(threshold=-10.0, membrane_bits=2)}
    arguments = with_layers(net(0, 20, 16, 12, 8), *(always if number == dense else {} for number in range(3)))
    assert find_operands(*arguments[:3]) is not None
    assert fused_gradients(*arguments) is None
    same(NUMBA.net_gradients(*arguments), EAGER.net_gradients(*arguments))


@pytest.mark.parametrize("sizes", [(20, 8), (20, 16, 8), (20, 16, 12, 8)])
@pytest.mark.parametrize("threads", [1, 3])
def test_fused_pass_leaves_gradients_that_are_not_finite_to_the_single_operations(
    sizes: tuple[int, ...], threads: int
) -> None:
    arguments, before = net(0, *sizes), torch.get_num_threads()
    arguments[1][3, 0, 2] = float("nan")
    torch.set_num_threads(threads)
    try:
        assert fused_gradients(*arguments) is None
        same(NUMBA.net_gradients(*arguments), EAGER.net_gradients(*arguments))
    finally:
        torch.set_num_threads(before)


def test_fused_passes_of_several_callers_at_once_do_not_wait_for_one_another_for_ever() -> None:
    shallow, deep = net(0, 70, 40, 25, steps=60), net(0, 70, 40, 33, 25, steps=60)
    expected, before = [EAGER.net_gradients(*arguments) for arguments in (shallow, deep)], torch.get_num_threads()

    def train(caller: int) -> list[NetPass]:
        torch.set_num_threads(3)
        return [fused((shallow, deep)[caller % 2]) for _ in range(20)]

    try:
        with ThreadPoolExecutor(3) as callers:
            for caller, results in enumerate(callers.map(train, range(3))):
                for result in results:
                    same(result, expected[caller % 2])
    finally:
        torch.set_num_threads(before)
