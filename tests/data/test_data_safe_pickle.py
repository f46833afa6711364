import collections
import copyreg
import dataclasses
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pickle_programs import NAME, REBUILD, Call, named

from qsnn.data.formats.safe_pickle import load_pickle

# pickle.dumps(np.array([[0, 1, 1], [1, 0, 0]], dtype=bool), protocol) under numpy 1.26.4
NUMPY_1_PICKLES = {
    2: b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85q\x02c_codecs\nencode\n"
    b"q\x03X\x01\x00\x00\x00bq\x04X\x06\x00\x00\x00latin1q\x05\x86q\x06Rq\x07\x87q\x08Rq\t(K\x01K\x02K\x03\x86q\n"
    b"cnumpy\ndtype\nq\x0bX\x02\x00\x00\x00b1q\x0c\x89\x88\x87q\rRq\x0e(K\x03X\x01\x00\x00\x00|q\x0fNNNJ\xff\xff\xff"
    b"\xffJ\xff\xff\xff\xffK\x00tq\x10b\x89h\x03X\x06\x00\x00\x00\x00\x01\x01\x01\x00\x00q\x11h\x05\x86q\x12Rq\x13tq"
    b"\x14b.",
    3: b"\x80\x03cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85q\x02C\x01bq\x03\x87q\x04R"
    b"q\x05(K\x01K\x02K\x03\x86q\x06cnumpy\ndtype\nq\x07X\x02\x00\x00\x00b1q\x08\x89\x88\x87q\tRq\n(K\x03X\x01\x00\x00"
    b"\x00|q\x0bNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0cb\x89C\x06\x00\x01\x01\x01\x00\x00q\rtq\x0eb.",
    4: b"\x80\x04\x95\x90\x00\x00\x00\x00\x00\x00\x00\x8c\x15numpy.core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94"
    b"\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02K\x03\x86\x94h\x03"
    b"\x8c\x05dtype\x94\x93\x94\x8c\x02b1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff"
    b"\xffK\x00t\x94b\x89C\x06\x00\x01\x01\x01\x00\x00\x94t\x94b.",
    5: b"\x80\x05\x95{\x00\x00\x00\x00\x00\x00\x00\x8c\x12numpy.core.numeric\x94\x8c\x0b_frombuffer\x94\x93\x94(\x96"
    b"\x06\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\x01\x00\x00\x94\x8c\x05numpy\x94\x8c\x05dtype\x94\x93\x94\x8c\x02b1"
    b"\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bK\x02K\x03\x86\x94"
    b"\x8c\x01C\x94t\x94R\x94.",
}


@dataclasses.dataclass
class Point:
    """An object of a class that the reader does not know."""

    x: int
    y: int


# --- Tensors and arrays that must load


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64])
def test_load_pickle_reads_a_pickled_tensor(raster, protocol, dtype):
    tensor = torch.from_numpy(raster).to(dtype)
    assert np.array_equal(load_pickle(pickle.dumps(tensor, protocol), NAME), raster)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", ">i8", "<f4", ">f8"])
def test_load_pickle_reads_a_pickled_array(raster, protocol, dtype):
    for array in (raster.astype(dtype), np.asfortranarray(raster).astype(dtype), raster.astype(dtype)[:, ::2]):
        assert np.array_equal(load_pickle(pickle.dumps(array, protocol), NAME), array)


@pytest.mark.parametrize("protocol", range(6))
def test_load_pickle_reads_views_and_parameters(protocol):
    tensor = torch.arange(12.0).view(3, 4)
    for other in (tensor.T, tensor[1:, ::2], torch.nn.Parameter(tensor), tensor[:0]):
        assert np.array_equal(load_pickle(pickle.dumps(other, protocol), NAME), other.detach().numpy())


@pytest.mark.parametrize("protocol", NUMPY_1_PICKLES)
def test_load_pickle_reads_what_numpy_1_wrote(protocol):
    assert load_pickle(NUMPY_1_PICKLES[protocol], NAME).tolist() == [[False, True, True], [True, False, False]]


@pytest.mark.parametrize("as_zip", [True, False])
def test_load_pickle_reads_what_torch_save_wrote(raster, as_zip):
    file = io.BytesIO()
    torch.save(torch.from_numpy(raster), file, _use_new_zipfile_serialization=as_zip)
    assert np.array_equal(load_pickle(file.getvalue(), NAME), raster)


def test_load_pickle_reads_a_tensor_of_a_gpu_on_a_machine_without_one():
    load_from_bytes, (on_cpu,) = torch.ones(6)._typed_storage().__reduce__()
    on_gpu = on_cpu.replace(b"\x03\x00\x00\x00cpu", b"\x06\x00\x00\x00cuda:0")
    assert on_gpu != on_cpu
    data = pickle.dumps(Call(REBUILD, Call(load_from_bytes, on_gpu), 0, (2, 3), (3, 1), False, None))
    assert load_pickle(data, NAME).tolist() == [[1.0] * 3] * 2


# --- Calls that must not happen


@pytest.mark.parametrize("protocol", range(6))
def test_load_pickle_does_not_run_a_command(tmp_path, protocol, message_of):
    data = pickle.dumps(Call(os.system, f"touch {tmp_path}/made"), protocol)
    message = message_of(load_pickle, data, NAME)
    assert message == (
        f"smile.pkl asks to run {os.system.__module__}.system; only tensors and arrays are read from pickles. "
        "Save it as .npy instead"
    )
    pickle.loads(data)  # noqa: S301 - shows that the pickle is a live one
    assert list(tmp_path.iterdir()) == [tmp_path / "made"]


@pytest.mark.parametrize("as_zip", [True, False])
def test_load_pickle_does_not_run_a_command_in_a_file_of_torch_save(tmp_path, as_zip, message_of):
    file = io.BytesIO()
    torch.save(Call(os.system, f"touch {tmp_path}/made"), file, _use_new_zipfile_serialization=as_zip)
    assert f"smile.pkl asks to run {os.system.__module__}.system;" in message_of(load_pickle, file.getvalue(), NAME)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("as_zip", [True, False])
def test_load_pickle_does_not_run_a_command_inside_a_storage(tmp_path, as_zip, message_of):
    file = io.BytesIO()
    torch.save(Call(os.system, f"touch {tmp_path}/made"), file, _use_new_zipfile_serialization=as_zip)
    data = pickle.dumps(Call(torch.storage._load_from_bytes, file.getvalue()))
    assert f"asks to run {os.system.__module__}.system;" in message_of(load_pickle, data, NAME)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "function",
    [eval, exec, getattr, __import__, subprocess.Popen, torch.load, np.load, np.memmap, np.fromfile, pickle.loads],
)
def test_load_pickle_names_any_other_function(function, message_of):
    message = message_of(load_pickle, pickle.dumps(Call(function, "1")), NAME)
    assert "smile.pkl asks to run " in message
    assert function.__name__ in message


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("numpy", "core.multiarray.os.system"),
        ("numpy", "dtype.__class__"),
        ("numpy.core.multiarray", "_reconstruct.__globals__"),
        ("qsnn.data.formats.stand_ins", "io.os.system"),
        ("torch._utils", "warnings.sys.modules"),
        ("collections", "OrderedDict.__init__.__globals__"),
        ("numpy.core.multiarray ", "_reconstruct"),
        ("NUMPY", "ndarray"),
        ("numpy", ""),
        ("os\n", "system\x1b[2J"),
        ("ö", "é" * 1000),
    ],
)
def test_load_pickle_looks_names_up_exactly(module, name, message_of):
    message = message_of(load_pickle, b"\x80\x04" + named(module, name) + b".", NAME)
    assert "smile.pkl asks to run " in message
    assert len(message) < 500
    assert message.isprintable()


def test_load_pickle_refuses_registered_extensions(message_of):
    copyreg.add_extension("posix", "system", 0x7777)
    try:
        for opcode in (b"\x83\x77\x77", b"\x84\x77\x77\x00\x00"):
            message_of(load_pickle, b"\x80\x02" + opcode + b"X\x04\x00\x00\x00true\x85R.", NAME)
    finally:
        copyreg.remove_extension("posix", "system", 0x7777)


@pytest.mark.parametrize(
    "program",
    [
        b"(X\x01\x00\x00\x00xios\nsystem\n.",  # INST
        b"(cos\nsystem\nX\x01\x00\x00\x00xo.",  # OBJ
        b"\x80\x02cnumpy\ndtype\n)\x81.",  # NEWOBJ of an allowed name
        b"\x80\x04\x97.",  # NEXT_BUFFER
        b"Pname\n.",  # PERSID
    ],
)
def test_load_pickle_refuses_other_ways_of_making_objects(program, message_of):
    message = message_of(load_pickle, program, NAME)
    assert "holds other Python objects (pickle opcode " in message or "asks to run os.system" in message


# --- Objects that are no tensor


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"input": torch.ones(2, 2)}, "holds other Python objects (pickle opcode EMPTY_DICT)"),
        ([[0, 1], [1, 0]], "holds other Python objects (pickle opcode EMPTY_LIST)"),
        ("text", "holds a str;"),
        (None, "holds a NoneType;"),
        (np.float64(1), "multiarray.scalar;"),
        (collections.OrderedDict(), "holds a NoneType;"),
        (np.ndarray, "smile.pkl holds a "),
        (np.dtype("f4"), "smile.pkl holds a "),
        (np.rec.array([(1, 0)]), "asks to run numpy.rec"),
        (np.array([[{}]], dtype=object), "holds other Python objects (pickle opcode EMPTY_LIST)"),
        (np.array([["a"]]), "other than numbers (objects, text, or records)"),
        (np.array([[1j]]), "other than numbers (objects, text, or records)"),
        (np.zeros((2, 2), dtype=[("x", "f4")]), "holds other Python objects (pickle opcode EMPTY_DICT)"),
        (Point(1, 2), f"asks to run {Point.__module__}.Point;"),
        (Path("x"), "asks to run pathlib."),
    ],
)
def test_load_pickle_names_what_it_found_instead(value, found, message_of):
    message = message_of(load_pickle, pickle.dumps(value), NAME)
    assert found in message
    assert message.endswith("only tensors and arrays are read from pickles. Save it as .npy instead")


@pytest.mark.parametrize("value", [{"weights": torch.ones(2)}, [1], torch.ones(2, 2).to_sparse()])
def test_load_pickle_refuses_other_things_in_a_file_of_torch_save(value, message_of):
    file = io.BytesIO()
    torch.save(value, file)
    assert str(NAME) in message_of(load_pickle, file.getvalue(), NAME)


def test_load_pickle_never_imports(message_of):
    assert "asks to run antigravity.fly" in message_of(
        load_pickle, b"\x80\x04" + named("antigravity", "fly") + b".", NAME
    )
    assert "antigravity" not in sys.modules
