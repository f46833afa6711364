"""What the templates of a layer are filled with: sizes, types, factors. All arithmetic of constants is done here."""

from typing import Any, NamedTuple

import numpy as np

from qsnn.deploy.arithmetic import Whole, half_up, highest_code
from qsnn.deploy.c.text import literal, packed, signed_type, unsigned_type, values, word_bits
from qsnn.deploy.model import CONV, INTEGRATOR, LocalLayer, Model, SpikingLayer, State, size
from qsnn.deploy.widths import Range, Ranges, of_state, ranges

Values = dict[str, Any]


class Member(NamedTuple):
    """Of the state in C: ``tensor`` as `IntegerEngine` names it, C ``type``, how many."""

    tensor: str
    type: str
    length: int


def layer_values(model: Model, number: int) -> Values:
    """For the template of layer ``number``: ``template`` names it; ``members``: its state."""
    layer, signed = model.layers[number], model.input.signed and number == 0
    found = _local(layer, signed) if isinstance(layer, LocalLayer) else _spiking(layer, signed)
    pooled = layer.pooling > 1 or isinstance(layer, LocalLayer)
    common = {
        "name": layer.name, "kind": layer.kind, "inputs": size(layer.inputs), "neurons": size(layer.neurons),
        "outputs": size(layer.outputs), "pooled": pooled, "signed": signed, "pooling": layer.pooling,
        "output": f"{layer.name}_output" if pooled else f"{layer.name}_spikes",
    }  # fmt: skip
    return {**common, **found}


def _maps(layer: SpikingLayer | LocalLayer, weights: Whole) -> Values:
    (channels, height, width), (maps, rows, columns) = layer.inputs, layer.neurons
    _, pooled_rows, pooled_columns = layer.outputs
    return {
        "channels": channels, "height": height, "width": width, "maps": maps, "rows": rows, "columns": columns,
        "pooled_rows": pooled_rows, "pooled_columns": pooled_columns, "kernel": layer.weight.codes.shape[3],
        "padding": layer.padding, "weights": packed(weights, layer.weight.bits),
    }  # fmt: skip


def _spiking(layer: SpikingLayer, signed: bool) -> Values:
    found, neurons = ranges(layer, signed), size(layer.neurons)
    members = [Member("membrane", _state_type(layer.membrane), neurons)]
    if layer.synapse is not None:
        members.insert(0, Member("synapse", _state_type(layer.synapse), neurons))
    if layer.kind != INTEGRATOR:
        members.append(Member("spikes", "int8_t", neurons))
    maps = layer.kind == CONV
    # of a convolution (C k k, O): an input that spikes meets all maps at a time
    rows = layer.weight.codes.reshape(len(layer.weight.codes), -1).T if maps else layer.weight.codes
    return {
        "template": "spiking.c.jinja", "members": members, "threshold": _fired(layer),
        "current_bits": word_bits(found["current"]), "scratch": neurons,
        "recurrent_bits": word_bits(found["recurrent"]) if layer.recurrent is not None else 0,
        **(_maps(layer, rows) if maps else {"weights": packed(rows, layer.weight.bits)}), "stride": layer.stride,
        "recurrent": None if layer.recurrent is None else packed(layer.recurrent.codes, layer.recurrent.bits),
        **_updates(layer, found),
    }  # fmt: skip


def _fired(layer: SpikingLayer) -> str | None:
    """Whether membrane m spikes; a compiler warns where no code of its type, or every one, does."""
    if layer.spike is None:
        return None
    highest = highest_code(layer.membrane.bits)
    return "0" if layer.spike > highest else "1" if layer.spike <= -highest else f"m >= {literal(layer.spike)}"


def _state_type(state: State) -> str:
    return signed_type(highest_code(state.bits))


class Update(NamedTuple):
    """``terms``: the sum before it is rounded, in ``word`` bits; ``code``: of ``raw``, the same."""

    terms: str
    word: int
    code: str


def rounded(word: int, shift: int, bits: int) -> str:
    """``clamp(rint(raw 2^-shift))`` of at most ``word - 1`` bits; one bit is the sign of raw itself."""
    if bits == 1:
        return "(raw < 0 ? -1 : 1)"
    if shift >= word - 1:  # less than a half, or a half and even
        return "0"
    return f"clamp{word}({f'rint{word}(raw, {shift})' if shift else 'raw'}, {literal(highest_code(bits))})"


def _updates(layer: SpikingLayer, found: Ranges) -> Values:
    drive = [("h[k]", found["current"])]
    if layer.recurrent is not None:
        drive.append(("back[k]", found["recurrent"]))
    reset = [] if layer.spike is None else [("fired", Range(-1, 0))]
    if layer.synapse is None:
        membrane = _update(layer.membrane, "m", [*drive, *reset], found["raw_membrane"])
        return {"synapse": None, "membrane": membrane}
    arriving = ("c", of_state(layer.synapse))
    return {
        "synapse": _update(layer.synapse, "c", drive, found["raw_synapse"]),
        "membrane": _update(layer.membrane, "m", [arriving, *reset], found["raw_membrane"]),
    }


def _update(state: State, name: str, arriving: list[tuple[str, Range]], raw: Range) -> Update:
    """Each term is taken to the finest grid by a factor; what is 0 whatever comes is left out, its factor might fit nothing."""
    word = word_bits(raw)
    terms = []
    for variable, found in [(name, of_state(state).times(state.multiplier, state.shift)), *arriving]:
        factor = (state.multiplier if variable == name else 1) << (raw.point - found.point)
        if found.low or found.high:
            sign = "-" if variable == "fired" else "+"
            terms.append(f"{sign} (int{word}_t)({variable}) * {literal(factor)}")
    text = " ".join(terms).removeprefix("+ ") or "0"
    return Update(text, word, rounded(word, raw.point - state.point, state.bits))


def _local(layer: LocalLayer, signed: bool) -> Values:
    found, t, m = ranges(layer, signed), layer.traces, layer.membrane
    inputs, neurons = size(layer.inputs), size(layer.neurons)
    members = [
        Member("p", unsigned_type(2**t.p_bits - 1), inputs), Member("q", unsigned_type(2**t.q_bits - 1), inputs),
        Member("refractory", unsigned_type(2**m.r_bits - 1), neurons),
        Member("membrane", signed_type(highest_code(m.u_bits)), neurons), Member("spikes", "int8_t", neurons),
    ]  # fmt: skip
    bias = half_up(m.b1 * layer.bias, m.b2)
    return {
        "template": "local.c.jinja", "members": members, "scratch": size(layer.neurons[1:]), "recurrent_bits": 0,
        "current_bits": word_bits(found["convolution"], found["drive"]), 
        **_maps(layer, layer.weight.codes.reshape(len(layer.weight.codes), -1)),
        "bias": values(bias), "membrane_word": word_bits(found["membrane_product"]), "potential": _potential(layer, found),
        "first": literal(highest_code(m.u_bits)), "multiplier": literal(m.u1),
        "half": literal(0 if m.u_bits == 1 else 1 << m.u2 >> 1), "levels": 2**m.r_bits,
        "subtracted": values(m.subtracted << (m.u2 - 8)), "after": values(m.after), **_traces(layer, found),
        "readout": None,
        **({} if layer.readout is None else _readout(layer, members, found)),
    }  # fmt: skip


def _potential(layer: LocalLayer, found: Ranges) -> str:
    m, word = layer.membrane, word_bits(found["membrane_product"])
    if m.u_bits == 1:
        return "(raw < 0 ? -1 : 1)"
    return f"clamp{word}({_floor(word, m.u2)}, {literal(highest_code(m.u_bits))})"


def _floor(word: int, shift: int) -> str:
    return f"floor{word}(raw, {shift})" if shift < word else "(raw < 0 ? -1 : 0)"


def _traces(layer: LocalLayer, found: Ranges) -> Values:
    t = layer.traces
    tables = {"p1": t.p1, "p2": t.p2, "q1": t.q1, "q2": t.q2}
    words = {"p": word_bits(found["membrane_trace"]), "q": word_bits(found["synapse_trace"])}
    return {
        "tables": {name: (unsigned_type(int(codes.max())), values(codes)) for name, codes in tables.items()},
        "trace_half": literal(1 << t.shift >> 1), "p_word": words["p"], "q_word": words["q"],
        "p_highest": literal(2**t.p_bits - 1), "q_highest": literal(2**t.q_bits - 1),
        **{f"{name}_floor": _floor(word, t.shift) for name, word in words.items()},
    }  # fmt: skip


def _readout(layer: LocalLayer, members: list[Member], found: Ranges) -> Values:
    r = layer.readout
    assert r is not None
    classes = len(r.weight.codes)
    members.append(Member("readout", signed_type(highest_code(r.bits)), classes))
    word = word_bits(found["readout"])
    return {
        "readout": packed(r.weight.codes, r.weight.bits), "classes": classes, "readout_word": word,
        "readout_update": Update(
            "sum" if r.shift >= 0 else f"sum * {literal(1 << -r.shift)}", word, rounded(word, max(0, r.shift), r.bits)
        ),
        "activation": values(r.activation), "activation_type": unsigned_type(int(np.max(r.activation))),
    }  # fmt: skip
