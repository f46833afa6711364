"""What the template of a layer that learns locally is filled with."""

from qsnn.deploy.arithmetic import highest_code
from qsnn.deploy.c.text import literal, signed_type, unsigned_type, values
from qsnn.deploy.model import LocalLayer, size
from qsnn.deploy.training.c.layers import Values, code_type, computing, maps_values, rounded, word
from qsnn.deploy.training.recipe import LocalRule, Recipe


def local_values(layer: LocalLayer, rule: LocalRule, recipe: Recipe, bits: dict[str, int]) -> Values:
    """For the template; ``bits``: widths of the layer's sums."""
    t, m, maps = layer.traces, layer.membrane, len(layer.weight.codes)
    assert layer.readout is not None
    stored = {part: recipe.stored[f"{layer.name}.{part}"] for part in ("weight", "bias")}
    return {
        "name": layer.name, "inputs": size(layer.inputs), "neurons": size(layer.neurons), "outputs": size(layer.outputs),
        "maps": maps, "rows": layer.weight.codes.size // maps, "weight_type": code_type(layer.weight.bits),
        "computing": computing(stored["weight"]), "computing_bias": computing(stored["bias"]), "b1": literal(m.b1),
        "b1_half": literal(1 << m.b2 >> 1), "b2": m.b2, "p_type": unsigned_type(2**t.p_bits - 1),
        "q_type": unsigned_type(2**t.q_bits - 1), "p_highest": 2**t.p_bits - 1, "q_highest": 2**t.q_bits - 1,
        "trace_half": literal(1 << t.shift >> 1), "trace_shift": t.shift, "r_type": unsigned_type(2**m.r_bits - 1),
        "levels": 2**m.r_bits, "u1": literal(m.u1), "half": literal(0 if m.u_bits == 1 else 1 << m.u2 >> 1),
        "potential": "(raw < 0 ? -1 : 1)" if m.u_bits == 1 else f"clamp64(floor64(raw, {m.u2}), {highest_code(m.u_bits)})",
        "membrane_type": code_type(m.u_bits), "highest": highest_code(m.u_bits), "low": literal(1 << (m.u_bits - 1)),
        "current_word": word(bits["convolution"]), "gradient_word": word(bits["weight_gradient"]),
        "error_bits": rule.error_bits, "error_type": code_type(rule.error_bits), "l1": literal(rule.l1), "l2": literal(rule.l2),
        "dropout": rule.dropout, "key": f"{rule.key:016x}", "unit": literal(1 << (layer.readout.bits - 1)),
        "readout_type": code_type(layer.readout.bits), "tables": _tables(layer, rule), **_readout(layer),
        **maps_values(layer, 1),
    }  # fmt: skip


def _readout(layer: LocalLayer) -> Values:
    """``readout_code``: of ``raw``, the sum times a power of two where it is shifted to the left."""
    assert layer.readout is not None
    shift = layer.readout.shift
    return {
        "readout_factor": f" * {literal(1 << -shift)}" if shift < 0 else "",
        "readout_code": rounded(max(0, shift), layer.readout.bits),
    }


def _tables(layer: LocalLayer, rule: LocalRule) -> dict[str, tuple[str, int, str]]:
    """Type, count and content, by name."""
    t, m, r = layer.traces, layer.membrane, layer.readout
    assert r is not None
    found = {
        "p1": t.p1, "p2": t.p2, "q1": t.q1, "q2": t.q2, "subtracted": m.subtracted << (m.u2 - 8), "after": m.after,
        "activation": r.activation, "slope": rule.slope, "readout": r.weight.codes, "feedback": rule.feedback.codes,
    }  # fmt: skip
    return {
        name: (_type(int(codes.min()), int(codes.max())), codes.size, values(codes)) for name, codes in found.items()
    }


def _type(low: int, high: int) -> str:
    """The narrowest for both; what is subtracted in int64_t is signed."""
    return signed_type(max(-low, high))
