"""What the template of a layer that learns is filled with: sizes, types, factors, texts."""

from typing import Any

from qsnn.deploy.arithmetic import LONGEST_SHIFT, highest_code
from qsnn.deploy.c.text import NARROW_BITS, literal, signed_type, unsigned_type, values
from qsnn.deploy.model import CONV, LOCAL, LocalLayer, SpikingLayer, State, Weights, size
from qsnn.deploy.training.codes import SIGNIFICANT
from qsnn.deploy.training.recipe import Recipe, SpikingRule, Stored

Values = dict[str, Any]
GRADIENTS = {"weight": "dw", "recurrent_weight": "dwr", "bias": "db"}


def word(bits: int) -> int:
    """32 or 64: of the accumulator of a sum."""
    return 32 if bits <= NARROW_BITS else 64


def rounded(shift: int, bits: int) -> str:
    """``clamp(rint(raw 2^-shift))`` of an int64_t ``raw``; one bit is the sign of raw itself."""
    if bits == 1:
        return "(raw < 0 ? -1 : 1)"
    if shift > LONGEST_SHIFT:  # less than a half
        return "0"
    return f"clamp64({f'rint64(raw, {shift})' if shift else 'raw'}, {literal(highest_code(bits))})"


def code_type(bits: int) -> str:
    """Of signed codes."""
    return signed_type(highest_code(bits))


def layer_values(layer: SpikingLayer, rule: SpikingRule, recipe: Recipe, bits: dict[str, int], above: int) -> Values:
    """For the template; ``bits``: widths of the layer's sums; ``above``: point of the gradient at its outputs."""
    maps = layer.kind == CONV
    count = layer.weight.codes.shape[0] if maps else size(layer.neurons)
    found: Values = {
        "name": layer.name, "kind": layer.kind, "conv": maps, "inputs": size(layer.inputs), "neurons": size(layer.neurons),
        "outputs": size(layer.outputs), "maps": count, "rows": layer.weight.codes.size // count,
        "weight_type": code_type(layer.weight.bits), "computing": computing(recipe.stored[f"{layer.name}.weight"]),
        "place": f"o * {layer.weight.codes.size // count} + r" if maps else f"r * {count} + o",
        "current_word": word(bits["current"]), "gradient_word": word(bits["weight_gradient"]),
        "grad_word": word(bits["spike_gradient"]), "error_bits": rule.error_bits, "error_type": code_type(rule.error_bits),
        "membrane_type": code_type(layer.membrane.bits), "highest": highest_code(layer.membrane.bits),
        "fired": _compared("@", layer.spike, layer), "mask": None, "surrogate": values(rule.surrogate),
        "surrogate_count": len(rule.surrogate), "surrogate_type": unsigned_type(int(rule.surrogate.max())),
        "recurrent": None, "below": None, **_states(layer),
    }  # fmt: skip
    if rule.mask:
        found["mask"] = f"!({_compared('before[n]', layer.mask, layer)})"
    if maps:
        found |= maps_values(layer, layer.stride)
    if layer.recurrent is not None:
        found["recurrent"] = _recurrent(layer, layer.recurrent, rule, recipe, bits, above)
    return found


def _compared(code: str, first: int | None, layer: SpikingLayer) -> str:
    """Whether a membrane's code is at least ``first``; a compiler warns where no code of its type, or every one, is."""
    assert first is not None
    highest = highest_code(layer.membrane.bits)
    if first > highest:
        return "0"
    return "1" if first <= -highest else f"({code} >= {literal(first)})"


def computing(stored: Stored) -> str:
    """The code that a layer computes with, of the stored code ``raw``."""
    return rounded(stored.point - (stored.weight_bits - 1), stored.weight_bits)


def maps_values(layer: SpikingLayer | LocalLayer, stride: int) -> Values:
    """Sizes of a convolution."""
    (channels, height, width), (_, rows, columns), (_, down, right) = layer.inputs, layer.neurons, layer.outputs
    return {
        "channels": channels, "height": height, "width": width, "map_rows": rows, "columns": columns, "pooled_rows": down,
        "pooled_columns": right, "pooling": layer.pooling, "kernel": layer.weight.codes.shape[3], "stride": stride,
        "padding": layer.padding,
    }  # fmt: skip


def _recurrent(
    layer: SpikingLayer, weight: Weights, rule: SpikingRule, recipe: Recipe, bits: dict[str, int], above: int
) -> Values:
    back = rule.error_bits - 1 + weight.point
    point = max(above, back)
    return {
        "type": code_type(weight.bits), "computing": computing(recipe.stored[f"{layer.name}.recurrent_weight"]),
        "gradient_word": word(bits["recurrent_weight_gradient"]),
        "above_factor": literal(1 << (point - above)), "back_factor": literal(1 << (point - back)),
    }  # fmt: skip


def _states(layer: SpikingLayer) -> Values:
    drive = [("sum[n]", layer.weight.point)]
    if layer.recurrent is not None:
        drive.append(("h->b[n]", layer.recurrent.point))
    if layer.synapse is None:
        return {"synapse": None, "membrane": _state(layer.membrane, "m", [*drive, ("-fired", 0)])}
    return {
        "synapse": _state(layer.synapse, "c", drive),
        "membrane": _state(layer.membrane, "m", [("c", layer.synapse.point), ("-fired", 0)]),
    }


def _state(state: State, name: str, arriving: list[tuple[str, int]]) -> Values:
    """``terms``: the sum before it is rounded; ``code``: of ``raw``; ``limit``: the largest that is in range; factors of the
    way back."""
    terms = [
        (f"{name} * {literal(state.multiplier)}", state.point + state.shift),
        *((f"({text})", p) for text, p in arriving),
    ]
    point = max(place for _, place in terms)
    return {
        "terms": " + ".join(f"{text} * {literal(1 << (point - place))}" for text, place in terms),
        "limit": literal(highest_code(state.bits) << (point - state.point)),
        "code": rounded(point - state.point, state.bits), "multiplier": literal(state.multiplier),
        "one": literal(1 << state.shift),
    }  # fmt: skip


def tensor_values(layer: SpikingLayer | LocalLayer, stored: Stored, bits: dict[str, int]) -> Values:
    """Of a tensor that learns; ``bits``: widths of the layer's sums."""
    count, part = layer.weight.codes.shape[0], stored.name.partition(".")[2]
    local, maps = isinstance(layer, LocalLayer), layer.kind in (CONV, LOCAL) and part == "weight"
    return {
        "name": stored.name, "c": stored.name.replace(".", "_"), "count": stored.start.size, "type": signed_type(stored.limit),
        "start": values(stored.start), "limit": literal(stored.limit), "step": literal(1 << stored.step()),
        "rng_bits": stored.rng_bits, "key": f"{stored.key:016x}",
        "gradient": f"{layer.name}_{GRADIENTS[part]}",
        "exact": "significant" if not local and bits[f"{part.removesuffix('weight')}weight_gradient"] > SIGNIFICANT + 1 else "",
        "place": f"n % {stored.start.size // count} * {count} + n / {stored.start.size // count}" if maps else "n",
    }  # fmt: skip
