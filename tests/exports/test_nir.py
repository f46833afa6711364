"""A net as a graph of NIR: what it cannot say is refused; read back, and beside norse where the extra and norse are
installed."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from exports.random_models import leaky_model, random_model

from qsnn.deploy.formats import FORMATS
from qsnn.deploy.model import INTEGRATOR, Model, SpikingLayer, State
from qsnn.errors import ConfigError

MISSING = [name for name in ("nir", "norse", "nirtorch") if importlib.util.find_spec(name) is None]
needs_norse = pytest.mark.skipif(
    bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (the extra nir, and norse)"
)
needs_nir = pytest.mark.skipif("nir" in MISSING, reason="not installed: nir (the extra nir)")
CASES = [(seed, ("dense", "conv", INTEGRATOR)[seed % 3]) for seed in (0, 4, 5)]


def changed(**values: object) -> Model:
    model = leaky_model(0, "dense")
    first = model.layers[0]
    assert isinstance(first, SpikingLayer)
    return model._replace(layers=(first._replace(**values), *model.layers[1:]))


@needs_norse
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_nir_norse_with_states_rounded_spikes_as_the_engine(tmp_path: Path) -> None:
    from qsnn.deploy.nir_graph.selftest import compared

    busy = 0
    for seed, kind in CASES:
        FORMATS["nir"].write(leaky_model(seed, kind), tmp_path / str(seed), False)
        total, differ, active = compared(tmp_path / str(seed))
        assert total > 0
        assert differ == 0, f"net {seed}"
        busy += active
    assert busy > 100


@needs_nir
def test_nir_read_back_has_weights_leaks_and_what_nir_cannot_say(tmp_path: Path) -> None:
    import nir

    model = leaky_model(7, "conv")
    FORMATS["nir"].write(model, tmp_path / "nir", False)
    graph = nir.read(tmp_path / "nir" / "net.nir")
    layer = model.layers[0]
    assert isinstance(layer, SpikingLayer)
    weight, neuron = graph.nodes[f"{layer.name}_weight"], graph.nodes[f"{layer.name}_neurons"]
    assert np.array_equal(np.ldexp(weight.weight, layer.weight.point), layer.weight.codes)
    b = layer.membrane.multiplier / 2**layer.membrane.shift
    tau = neuron.tau if layer.synapse is None else neuron.tau_mem
    assert 1 - float(graph.metadata["dt"]) / tau.flat[0] == pytest.approx(b, abs=1e-15)
    assert int(neuron.metadata["membrane_bits"]) == layer.membrane.bits
    assert int(neuron.metadata["spike_code"]) == layer.spike
    assert neuron.metadata["reset"] in ("subtract", b"subtract")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (random_model(4, "local"), "learned locally"),
        (random_model(1, "recurrent"), "is recurrent"),
        (changed(membrane=State(8, 7, 1, 0)), "its membrane does not decay"),
        (changed(membrane=State(8, 7, 0, 0)), "its membrane keeps nothing"),
        (changed(synapse=State(1, 0, 1, 1)), "its synapse has 1 bit"),
        (changed(spike=0), "spikes from code 0 on"),
        (changed(membrane=State(4, 3, 1, 1), spike=8), "spikes from code 8 on: at rest, or never"),
    ],
)
def test_nir_what_it_cannot_say_is_refused_by_name(tmp_path: Path, model: Model, words: str) -> None:
    with pytest.raises(ConfigError, match=f"format=nir: layer .*{words}"):
        FORMATS["nir"].write(model, tmp_path / "nir", False)
    assert not (tmp_path / "nir").exists()


@pytest.mark.skipif("nir" not in MISSING, reason="nir is installed")
def test_nir_without_the_package_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"format=nir needs the package nir, .* pip install 'qsnn\[nir\]'"):
        FORMATS["nir"].write(leaky_model(0, "dense"), tmp_path / "nir", False)
