"""Weights & Biases and MLflow tried for real, in an environment that has them: what is written is read back, after kills too.

    <interpreter with qsnn[wandb,mlflow]> scripts/try_loggers.py [--keep FOLDER]

Nothing leaves the machine: wandb is offline, and MLflow writes a data base in a temporary folder.
"""

import argparse
import importlib.metadata
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7
FULL, FIRST, LAST = 1, 2, 4
WORDS = [
    "experiment=quick", "kernels=eager", "trainer.checkpoint_every=10", "logging.metrics_every=5", "logging.health_every=20",
    "logging.raster_every=20", "logging.histogram_every=20", "logging.progress=false", "logging.to=[csv,wandb,mlflow]",
]  # fmt: skip
MOST_TOLD, NOBODY = 600, "http://127.0.0.1:9"
SLOW = 4_000
"""Epochs of a run that is to be killed."""
Check = Callable[[Path], str]


def train(folder: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """Start the command in ``folder``."""
    command = [sys.executable, "-m", "qsnn.train", *words]
    known = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1]), **environment}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=known,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finished(folder: Path, *words: str, code: int = 0, **environment: str) -> str:
    """What it prints. Raises RuntimeError if it ends with another code."""
    process = train(folder, *words, **environment)
    told, _ = process.communicate(timeout=300)
    if process.returncode != code:
        raise RuntimeError(f"exit code {process.returncode}, not {code}:\n{told}")
    return told


def records(path: Path) -> Iterator[Any]:
    """The records of a .wandb file: a log of blocks as LevelDB's, behind a header of its own; what is cut off is left out."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, parts = path.read_bytes(), HEADER, b""
    while at + HEADER <= len(content):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + HEADER])
        piece, at = content[at + HEADER : at + HEADER + length], at + HEADER + length
        if kind == 0 or len(piece) < length:
            return
        parts = piece if kind in (FULL, FIRST) else parts + piece
        if kind in (FULL, LAST):
            yield Record.FromString(parts)


def wandb_steps(run: Path) -> dict[int, dict[str, Any]]:
    """By epoch, what the offline files of a run hold of it; of an epoch in two of them the first, as a server keeps it."""
    found: dict[int, dict[str, Any]] = {}
    for path in sorted(run.glob("wandb/offline-run-*/*.wandb")):
        for record in records(path):
            if record.WhichOneof("record_type") == "history":
                items = {
                    item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item
                }
                found.setdefault(int(items["_step"]), items)
    return found


def wandb_runs(run: Path) -> list[Any]:
    """The record of the run itself in each of its offline files."""
    files = sorted(run.glob("wandb/offline-run-*/*.wandb"))
    return [record.run for path in files for record in records(path) if record.WhichOneof("record_type") == "run"]


def mlflow_client(folder: Path) -> Any:
    """Of the data base below ``folder``."""
    os.environ.update({"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"})
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{folder.absolute()}/outputs/mlflow.db")


def jsonl(run: Path) -> dict[int, dict[str, float]]:
    """The rows of metrics.jsonl by epoch."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {row.pop("epoch"): row for row in rows}


def compared(folder: Path, run: Path, status: str) -> str:
    """Raise AssertionError unless wandb, MLflow and metrics.csv have the epochs and distances of metrics.jsonl, each once."""
    distances = {epoch: row["distance"] for epoch, row in jsonl(run).items()}
    steps = {epoch: of["loss/distance"] for epoch, of in wandb_steps(run).items() if "loss/distance" in of}
    assert steps == distances, f"wandb has {steps.keys() ^ distances.keys()} besides"
    client, identity = mlflow_client(folder), json.loads((run / "loggers.json").read_text())
    points = client.get_metric_history(identity["mlflow"], "loss/distance")
    assert max(Counter(point.step for point in points).values()) == 1, "MLflow has an epoch twice"
    assert {point.step: point.value for point in points} == distances
    assert client.get_run(identity["mlflow"]).info.status == status
    rows = (run / "metrics.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == sorted(distances)
    ids = {record.run_id for record in wandb_runs(run)}
    assert ids == {identity["wandb"]}
    return f"{len(distances)} epochs alike in metrics.jsonl, metrics.csv, wandb and MLflow ({status})"


def whole_run(folder: Path) -> str:
    """A run from its beginning to its end."""
    finished(folder, *WORDS, "trainer.epochs=40", "hydra.run.dir=whole")
    run = folder / "whole"
    steps, client = wandb_steps(run), mlflow_client(folder)
    assert {"raster/output/path", "code_weight/hidden/values"} <= steps[20].keys()
    identity = json.loads((run / "loggers.json").read_text())["mlflow"]
    pictures = [file.path for file in client.list_artifacts(identity, "raster")]
    assert "raster/output_000020.png" in pictures
    assert client.get_run(identity).data.params["bits.weight_bits"] == "2"
    return f"{compared(folder, run, 'FINISHED')}; pictures, histograms (wandb) and hyperparameters are there"


def wait_for(run: Path, epochs: int, process: subprocess.Popen[str]) -> None:
    """Until a run has logged so many epochs. Raises RuntimeError if it ends before."""
    path = run / "metrics.jsonl"
    while not path.is_file() or len(path.read_text().splitlines()) < epochs:
        if process.poll() is not None:
            raise RuntimeError(f"it ended early:\n{process.communicate()[0]}")
        time.sleep(0.05)


def wait_for_port(port: int) -> None:
    """Until somebody listens there. Raises RuntimeError after a minute and a half."""
    for _ in range(90):
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(1)
    raise RuntimeError(f"nobody listens on port {port}")


def ended_by(number: signal.Signals) -> Check:
    """A run that a signal ends, and that goes on twenty epochs further."""

    def check(folder: Path) -> str:
        run = folder / f"ended_by_{number.name}"
        process = train(folder, *WORDS, f"trainer.epochs={SLOW}", f"hydra.run.dir={run.name}")
        wait_for(run, 12, process)
        if number == signal.SIGINT:  # which a terminal sends to all processes of a command
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        process.communicate(timeout=120)
        last = max(jsonl(run))
        finished(folder, f"resume={run.name}", f"trainer.epochs={last + 20}")
        again = len(list(run.glob("wandb/offline-run-*")))
        return f"{compared(folder, run, 'FINISHED')}; {last} when it ended, {again} offline files of one wandb run"

    return check


def sweep(folder: Path) -> str:
    """Jobs that run at the same time belong to one sweep."""
    words = [word for word in WORDS if "logging.to" not in word]
    finished(
        folder, "-m", *words, "logging.to=[wandb,mlflow]", "sweep.name=widths", "quantization.weight_bits=2,4", "seed=0,1",
        "trainer.epochs=5", "hydra/launcher=processes",
    )  # fmt: skip
    runs = [path.parent for path in folder.glob("outputs/multirun/*/widths/*/loggers.json")]
    groups = {record.run_group for run in runs for record in wandb_runs(run)}
    client = mlflow_client(folder)
    experiment = client.get_experiment_by_name("quick/widths")
    found = client.search_runs([experiment.experiment_id])
    assert (len(runs), groups, len(found)) == (4, {"quick/widths"}, 4)
    return "4 jobs at once: wandb group and MLflow experiment quick/widths"


def together(folder: Path) -> str:
    """Jobs of one process, each a run of its own."""
    words = [word for word in WORDS if "kernels" not in word]
    finished(
        folder, "-m", *words, "sweep.name=seeds", "seed=0,1,2", "trainer.epochs=10", "trainer.vectorize=seed",
    )  # fmt: skip
    runs = [path.parent for path in folder.glob("outputs/multirun/*/seeds/*/loggers.json")]
    assert len(runs) == 3
    return f"3 seeds in one process: {compared(folder, runs[0], 'FINISHED')}, and so of the others" * all(
        compared(folder, run, "FINISHED") for run in runs
    )


def failing(folder: Path) -> str:
    """A run that fails says so."""
    run = folder / "failing"
    told = finished(
        folder, *WORDS, "trainer.epochs=4", "quantization=full_precision", "optimizer.lr_full_precision=1e38",
        "hydra.run.dir=failing", code=2,
    )  # fmt: skip
    status = mlflow_client(folder).get_run(json.loads((run / "loggers.json").read_text())["mlflow"]).info.status
    assert status == "FAILED"
    return f"MLflow: FAILED ({last_line(told)[:60]}...)"


def last_line(text: str) -> str:
    """Of what a command printed."""
    return text.strip().splitlines()[-1]


def no_server(name: str, **environment: str) -> Check:
    """A logger whose server is not there ends a run before it trains, in one line."""

    def check(folder: Path) -> str:
        begun = time.perf_counter()
        told = finished(folder, *WORDS[:-1], f"logging.to=[{name}]", f"hydra.run.dir=no_{name}", code=2, **environment)
        return f"exit code 2 after {time.perf_counter() - begun:.0f} s: {last_line(told)}"

    return check


def server_that_goes(folder: Path) -> str:
    """An MLflow server that is ended while a run trains: one warning, and the run goes on."""
    port, run = "5917", folder / "server"
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--port", port, "--backend-store-uri", f"sqlite:///{folder}/server.db"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        words = [*WORDS[:-1], "logging.to=[mlflow]", "trainer.epochs=400", "hydra.run.dir=server"]
        wait_for_port(int(port))
        process = train(folder, *words, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
        wait_for(run, 12, process)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
    told, _ = process.communicate(timeout=300)
    warned = [line for line in told.splitlines() if "goes on without it" in line]
    assert (process.returncode, len(warned), max(jsonl(run))) == (0, 1, 400), told
    return f"exit code 0, 400 epochs, one warning: {warned[0][:110]}..."


CHECKS: dict[str, Check] = {
    "a whole run": whole_run,
    "kill -9, resumed": ended_by(signal.SIGKILL),
    "SIGTERM, resumed": ended_by(signal.SIGTERM),
    "Ctrl-C, resumed": ended_by(signal.SIGINT),
    "a sweep": sweep,
    "seeds as one batch": together,
    "a run that fails": failing,
    "wandb, no server": no_server("wandb", WANDB_MODE="online", WANDB_BASE_URL=NOBODY, WANDB_API_KEY="0" * 40),
    "mlflow, no server": no_server("mlflow", MLFLOW_TRACKING_URI=NOBODY),
    "mlflow, server goes": server_that_goes,
}  # fmt: skip


def main() -> int:
    """Run every check, and print what it saw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="an empty folder to work in, instead of a temporary one")
    parser.add_argument("--only", help="checks with this in their names")
    options = parser.parse_args()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("wandb", "mlflow"))
    print(f"Python {sys.version.split()[0]}, {versions}\n\n| check | seen |\n|---|---|")
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        for name, check in CHECKS.items():
            if options.only is None or options.only in name:
                try:
                    told = check(folder)
                except (AssertionError, RuntimeError, subprocess.TimeoutExpired) as error:
                    told, failed = f"FAILED: {str(error)[-MOST_TOLD:]}", failed + 1
                print(f"| {name} | {told} |", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
