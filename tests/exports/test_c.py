"""The C of a net: compiled with every warning an error, run on the golden vectors of the integer engine."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from exports.random_models import KINDS, random_model

from qsnn.deploy.c import MARK, files_of, write_c
from qsnn.deploy.c.text import identifier, packed, signed_type, text_literal
from qsnn.deploy.decision import tied
from qsnn.deploy.engine import EngineState, IntegerEngine
from qsnn.deploy.golden import random_inputs
from qsnn.deploy.model import INTEGRATOR, Model
from qsnn.deploy.recordings import Event, listen
from qsnn.errors import ConfigError

COMPILER = next((name for name in ("gcc", "clang", "cc") if shutil.which(name)), None)
STRICT = [
    "-std=c99",
    "-O0",
    "-Wall",
    "-Wextra",
    "-pedantic",
    "-Werror",
    "-fsanitize=undefined",
    "-fno-sanitize-recover=all",
]
STEPS = 6
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler (gcc, clang or cc) is there")
MODELS = [*((seed, kind) for seed, kind in enumerate(KINDS)), (11, "recurrent"), (20, "local")]


def compiled(folder: Path, sources: list[str], *flags: str) -> Path:
    assert COMPILER is not None
    subprocess.run([COMPILER, *STRICT, *flags, *sources, "-o", "program"], cwd=folder, check=True)
    return folder / "program"


def write(folder: Path, model: Model) -> None:
    for name, content in files_of(model, random_inputs(model, STEPS)).items():
        (folder / name).write_bytes(content)


@needs_compiler
def test_c_random_nets_equals_the_engine_in_every_code(tmp_path: Path) -> None:
    names, flags, main = [], [], []
    for number, (seed, kind) in enumerate(MODELS):
        name = f"net{number}"
        write(tmp_path, random_model(seed, kind, name))
        (tmp_path / "selftest.c").rename(tmp_path / f"{name}_selftest.c")
        names += [f"{name}.c", f"{name}_selftest.c"]
        flags.append(f"-D{name.upper()}_NO_MAIN")
        main.append(name)
    calls = "".join(f"int {name}_selftest(void);" for name in main)
    tests = " | ".join(f"{name}_selftest()" for name in main)
    (tmp_path / "main.c").write_text(f"{calls}\nint main(void)\n{{\n    return {tests};\n}}\n")
    done = subprocess.run([compiled(tmp_path, [*names, "main.c"], *flags)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" 0 mismatches") == len(MODELS)


@needs_compiler
def test_c_selftest_one_weight_changed_names_the_first_codes_that_differ(tmp_path: Path) -> None:
    model = random_model(1, "recurrent", "changed")
    write(tmp_path, model)
    first = model.layers[0]
    other = first._replace(weight=first.weight._replace(codes=-first.weight.codes))
    (tmp_path / "changed.c").write_bytes(files_of(model._replace(layers=(other, *model.layers[1:])))["changed.c"])
    done = subprocess.run(
        [compiled(tmp_path, ["changed.c", "selftest.c"])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"of {first.name}, sample 0, step 0, number" in done.stdout
    assert " 0 mismatches" not in done.stdout


@needs_compiler
@pytest.mark.parametrize(("seed", "kind", "mode"), [(11, "recurrent", 0), (7, "conv", 3)])
def test_c_events_a_recording_says_what_the_engine_says_after_each_step(
    tmp_path: Path, seed: int, kind: str, mode: int
) -> None:
    model = random_model(seed, kind, "ear", events=True)
    assert model.input.mode == mode
    write(tmp_path, model)
    program = compiled(tmp_path, ["ear.c", "events.c"])
    rng, (height, width) = np.random.default_rng(seed), model.input.sensor
    t = np.sort(rng.integers(0, 36_000, 300))
    x, y, on = (rng.integers(0, end, 300) for end in (width, height, 2))
    events = [Event(int(a), int(b), int(c), bool(d)) for a, b, c, d in zip(t, x, y, on, strict=True)]
    binary = np.stack([x, y, on << 7 | t >> 16, (t >> 8) & 255, t & 255], 1).astype(np.uint8)
    (tmp_path / "a.bin").write_bytes(binary.tobytes())
    (tmp_path / "a.txt").write_text("# x y p t\n" + "".join(f"{e.x} {e.y} {int(e.on)} {e.t}\n" for e in events))
    said = [told(model, state) for state in listen(IntegerEngine(model), events)]
    lines = [f"{number * model.input.step_us} us: {word}" for number, word in enumerate(said, 1)] + [said[-1]]
    for name in ("a.bin", "a.txt"):
        done = subprocess.run([program, "-v", name], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == lines
    late = f"1 1 1 {model.input.step_us * max(model.input.steps, 1)}\n"
    if model.input.steps:
        done = subprocess.run([program, "-"], input=late, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", "no events in the window\n")


def told(model: Model, state: EngineState) -> str:
    """What a program says of it."""
    return model.decision.classes[int(state.votes.argmax(1)[0])] + " (tie)" * bool(tied(state.votes)[0])


@needs_compiler
def test_c_events_bad_recordings_exit_2_with_a_line(tmp_path: Path) -> None:
    model = random_model(11, "recurrent", "ear", events=True)
    model = model._replace(input=model.input._replace(steps=0))
    write(tmp_path, model)
    program = compiled(tmp_path, ["ear.c", "events.c"])
    bad = {
        "1 1 1 5\n1 1 1 4\n": "error: event 1: time goes backward", "99 1 1 5\n": "error: event 0: beside the sensor",
        "1 1 2 5\n": "error: event 0: a line must be x y p t", "1 1 1 5 6\n": "error: event 0: a line must be",
        "hello\n": "error: event 0: a line must be",
    }  # fmt: skip
    for text, message in bad.items():
        done = subprocess.run([program, "-"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(message)
    (tmp_path / "cut.bin").write_bytes(b"\1\1\0\0\1\1\1")
    done = subprocess.run([program, "cut.bin"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: event 1: the file ends within it\n")
    (tmp_path / "empty.bin").write_bytes(b"")
    done = subprocess.run([program, "empty.bin"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: the file is empty\n")
    late = f"1 1 1 {2 * 3_600_000_000}\n"
    done = subprocess.run([program, "-"], input=late, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "microseconds count from the recording's start" in done.stderr
    done = subprocess.run([program, "-"], input="# nothing\n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "no events in the window\n")
    assert subprocess.run([program, "none.bin"], cwd=tmp_path, capture_output=True, check=False).returncode == 2


def test_c_packed_codes_of_any_width_come_back() -> None:
    rng = np.random.default_rng(0)
    for bits in (1, 2, 3, 4, 5, 8, 9, 17):
        highest = max(1, 2 ** (bits - 1) - 1)
        codes = rng.integers(-highest, highest + 1, (3, 7))
        codes = np.where(codes == 0, 1, codes) if bits == 1 else codes
        found = packed(codes, bits)
        stored = [int(word) for word in found.content.replace("\n", " ").split(",")]
        assert len(stored) == found.total
        rows = [stored[n * found.row : (n + 1) * found.row] for n in range(3)]
        get = found.get.replace("/", "//")
        assert [[eval(get, {"row": row, "n": n}) for n in range(7)] for row in rows] == codes.tolist()
        parts = [(n, part.get) for part in found.parts for n in range(part.start, part.stop)]
        assert [[eval(part, {"row": row, "n": n}) for n, part in parts] for row in rows] == codes.tolist()
        assert max(map(abs, stored)) < 256 if bits <= 4 else max(map(abs, stored)) <= highest


def test_c_identifier_odd_names_are_of_c() -> None:
    words = ["nmnist_integer", "2 bits", "", "selftest", "STDINT", "step_by", "*/ x", "größe", "x" * 99]
    expected = [
        "nmnist_integer",
        "net_2_bits",
        "net",
        "net_selftest",
        "net_stdint",
        "net_step_by",
        "x",
        "gr_e",
        "x" * 40,
    ]
    assert [identifier(word) for word in words] == expected
    assert text_literal('a"b\\?\n') == '"a\\042b\\134\\077\\012"'
    assert [signed_type(high) for high in (127, 128, 2**31)] == ["int8_t", "int16_t", "int64_t"]


def test_c_a_run_with_an_odd_name_ends_no_comment() -> None:
    model = random_model(0, "dense")
    files = files_of(model._replace(source=model.source._replace(name="*/ int x; /*", weights="*/")))
    assert all(b"*/ int" not in content for content in files.values())


def test_c_an_integrator_before_the_end_is_refused() -> None:
    model = random_model(3, INTEGRATOR)
    twice = model.layers[-1]._replace(name="again")
    with pytest.raises(ConfigError, match=r"format=c: layer .* integrates and others follow it"):
        files_of(model._replace(layers=(*model.layers, twice)))


def test_c_write_is_not_over_what_is_there(tmp_path: Path) -> None:
    model, out = random_model(0, "dense"), tmp_path / "c"
    write_c(model, out)
    with pytest.raises(ConfigError, match="overwrite=true"):
        write_c(model, out)
    (out / "mine.txt").write_text("")
    with pytest.raises(ConfigError, match=r"holds 'mine.txt', which the export did not write: move it, or choose"):
        write_c(model, out, overwrite=True)
    (out / "mine.txt").unlink()
    write_c(model, out, overwrite=True)
    assert sorted(path.name for path in out.iterdir()) == ["net.c", "net.h", MARK, "selftest.c"]
    (out / MARK).unlink()
    with pytest.raises(ConfigError, match="holds no export"):
        write_c(model, out, overwrite=True)
