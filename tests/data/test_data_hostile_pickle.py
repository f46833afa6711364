"""Pickles that a sender has written by hand: arguments, states, codecs and sizes that no array has."""

import collections
import pickle
import struct

import numpy as np
import pytest
import torch
from pickle_programs import NAME, REBUILD, Call, named, text

from qsnn.data.formats.safe_pickle import load_pickle

# --- Allowed names with hostile arguments

RECONSTRUCT = np.zeros(1).__reduce__()[0]
FROM_BUFFER = np.zeros(1).__reduce_ex__(5)[0]
STORAGE = torch.ones(4).untyped_storage()


@pytest.mark.parametrize(
    "call",
    [
        Call(RECONSTRUCT, dict, (0,), b"b"),
        Call(RECONSTRUCT, np.dtype, (0,), b"b"),
        Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (2, 2), np.dtype("f4"), False, b"short")),
        Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (2**40, 2**40), np.dtype("f4"), False, b"")),
        Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (2, 2), np.dtype("f4"), False, 7)),
        Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (2, 2), "f4", False, bytes(16))),
        Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, ((((),),),), np.dtype("f4"), False, bytes(16))),
        Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1,)),
        Call(RECONSTRUCT, np.ndarray, (0,), b"b", state="state"),
        Call(np.ndarray, (2, 2)),
        Call(np.dtype, "O"),
        Call(np.dtype, "O8", False, True),
        Call(np.dtype, "f4, f4"),
        Call(np.dtype, "f99"),
        Call(np.dtype, ("f4",)),
        Call(np.dtype, "f4", state=(3, "<", (np.dtype("f4"), (4,)), None, None, -1, -1, 0)),
        Call(np.dtype, "f4", state=(3, "<", None, ("a",), (), 2**40, -1, 0)),
        Call(np.dtype, "f4", state=(3, "?", None, None, None, -1, -1, 0)),
        Call(np.dtype, "f4", state="state"),
        Call(FROM_BUFFER, b"abc", np.dtype("f4"), (1, 1), "C"),
        Call(FROM_BUFFER, bytes(16), np.dtype("f4"), (2, 2), "Z"),
        Call(FROM_BUFFER, 2**40, np.dtype("f4"), (2, 2), "C"),
        Call(REBUILD, STORAGE, 0, (2, 3), (3, 1), False, None),
        Call(REBUILD, STORAGE, -1, (2, 2), (2, 1), False, None),
        Call(REBUILD, STORAGE, 0, (2, 2), (-2, 1), False, None),
        Call(REBUILD, STORAGE, 0, (2**62, 2**62), (0, 0), False, None),
        Call(REBUILD, STORAGE, 2**70, (2, 2), (2, 1), False, None),
        Call(REBUILD, STORAGE, 0, "22", "21", False, None),
        Call(REBUILD, "storage", 0, (2, 2), (2, 1), False, None),
        Call(REBUILD),
        Call(torch.storage._load_from_bytes, 2**40),
        Call(torch.storage._load_from_bytes, b""),
        Call(torch.storage._load_from_bytes, b"\x80\x02N."),
        Call(torch._utils._rebuild_parameter, 3, True, None),
        Call(collections.OrderedDict, state="state"),
    ],
    ids=lambda call: f"{call.reduced[0].__name__}",
)
def test_load_pickle_refuses_hostile_arguments(call, message_of):
    assert message_of(load_pickle, pickle.dumps(call), NAME).startswith("smile.pkl ")


@pytest.mark.parametrize(
    "target", [("_codecs", "encode"), ("numpy", "dtype"), ("numpy", "ndarray"), ("builtins", "len")]
)
def test_load_pickle_lets_no_state_be_set_on_what_it_hands_out(target, message_of):
    # BUILD wants a dictionary of attributes, or a pair with one; both need opcodes that are refused.
    for state in (b"}X\x01\x00\x00\x00xK\x01s", b"N}X\x01\x00\x00\x00xK\x01s\x86", b"N", b"K\x01", b"K\x01K\x01\x86"):
        assert str(NAME) in message_of(load_pickle, b"\x80\x04" + named(*target) + state + b"b.", NAME)


def test_load_pickle_refuses_a_second_state_for_a_finished_tensor(message_of):
    data = pickle.dumps(torch.ones(2, 2), protocol=2)
    assert "tries to change a tensor" in message_of(load_pickle, data[:-1] + b"K\x01b.", NAME)


@pytest.mark.parametrize("codec", ["zlib", "rot13", "unicode_escape", "idna"])
def test_load_pickle_encodes_with_no_other_codec(codec, message_of):
    program = b"\x80\x02c_codecs\nencode\n" + text("a") + text(codec) + b"\x86R."
    assert "asks to run _codecs.encode on something else" in message_of(load_pickle, program, NAME)


# --- Bombs


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x04N" + b"r\xff\xff\xff\xff" + b".",  # room for four thousand million memos
        b"\x80\x04N" + b"p99999999999\n" + b".",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b".",  # bytes longer than any memory
        b"\x80\x05\x96" + struct.pack("<Q", 2**63 - 1) + b".",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b".",
        b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",  # a frame of that length
        b"\x80\x02\x8b\xff\xff\xff\x7f.",  # a number of that length
        b"I" + b"9" * 100_000 + b"\n.",
        b"\x80\x02" + b"(" * 1_000_000 + b".",
        b"\x80\x02)" + b"\x85" * 1_000_000 + b".",  # a million tuples, one inside the other
        b"\x80\x02)" + b"2\x86" * 90 + b".",  # DUP: a tuple of 2^90 leaves
        b"\x80\x02)" + b"q\x00h\x00h\x00\x86" * 49 + b".",
        b"\x80\x02)" + b"q\x00h\x00h\x00\x86" * 40 + b"}h\x00Ns.",  # and a dictionary that would hash them all
    ],
    ids=range(13),
)
def test_load_pickle_refuses_bombs(program, message_of):
    assert message_of(load_pickle, program, NAME).startswith("smile.pkl ")


def test_load_pickle_refuses_a_tensor_that_repeats_one_value_without_end(message_of):
    data = pickle.dumps(torch.zeros(1).expand(2**20, 2**20))
    assert len(data) < 1000
    assert "holds a tensor of more than" in message_of(load_pickle, data, NAME)


@pytest.mark.parametrize(
    "data", [b"", b".", b"\x80", b"\x80\xff.", b"N", b"t.", b"R.", b"h\x05.", b"garbage", b"0" * 99]
)
def test_load_pickle_names_a_broken_pickle(data, message_of):
    message = message_of(load_pickle, data, NAME)
    assert message.startswith("smile.pkl ")
    assert "Save it as .npy instead" in message
