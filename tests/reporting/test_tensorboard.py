"""TensorBoard event files, read back with TensorBoard's own reader."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import SMALL
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, get_experiment, list_session_groups, plugin_data_pb2
from tensorboard.plugins.hparams.backend_context import Context

from qsnn.config.command_line import compose_config
from qsnn.config.run import start


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    overrides = [
        *SMALL,
        "trainer.epochs=20",
        "logging.metrics_every=10",
        "logging.raster_every=10",
        "logging.histogram_every=10",
    ]
    start(compose_config(overrides), folder, overrides)
    return folder


@pytest.fixture(scope="module")
def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(
        str(folder), size_guidance={"scalars": 0, "images": 0, "histograms": 0, "tensors": 0}
    ).Reload()


def test_tensorboard_has_loss_rates_gradients_and_health(events: EventAccumulator) -> None:
    tags = set(events.Tags()["scalars"])
    expected = {"loss/distance", "loss/relative_distance", "rate/hidden", "rate/output", "gradient_norm/hidden"}
    expected |= {
        "health/output.error/underflow",
        "health/hidden.weight/codes_in_use",
        "health/hidden.weight/never_changed",
    }
    assert expected | {"final/distance", "best/distance"} <= tags
    assert [point.step for point in events.Scalars("loss/distance")] == [1, 10, 20]


def test_tensorboard_scalars_are_those_of_metrics_jsonl(events: EventAccumulator, folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    logged = [(point.step, point.value) for point in events.Scalars("loss/distance")]
    assert logged == [(row["epoch"], pytest.approx(row["distance"])) for row in rows]


def test_tensorboard_shows_rasters_of_the_nets_size(events: EventAccumulator) -> None:
    sizes = {
        "input": (60, 100),
        "hidden": (60, 60),
        "output": (60, 40),
        "target": (60, 40),
        "output_against_target": (60, 40),
    }
    for name, size in sizes.items():
        pictures = events.Images(f"raster/{name}")
        assert [picture.step for picture in pictures] == [1, 10, 20, 20]  # the last of the trained net
        assert Image.open(io.BytesIO(pictures[0].encoded_image_string)).size == size


def test_tensorboard_histograms_hold_every_weight_and_membrane_code(events: EventAccumulator) -> None:
    histogram = events.Histograms("code_weight/hidden")[0].histogram_value
    assert histogram.num == 100 * 60
    assert (histogram.min, histogram.max) == (-1, 1)
    assert events.Histograms("code_membrane/output")[0].histogram_value.num == 60 * 40


def test_tensorboard_holds_the_resolved_config_as_text(events: EventAccumulator) -> None:
    text = events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "weight_bits: 2" in text
    assert "membrane_bits: 8" in text


def test_tensorboard_hparams_table_has_one_finished_row_and_no_sub_runs(events: EventAccumulator, folder: Path) -> None:
    contents = {}
    for tag, data in events.summary_metadata.items():
        if data.plugin_data.plugin_name == "hparams":
            contents[tag] = plugin_data_pb2.HParamsPluginData.FromString(data.plugin_data.content)
    kinds = {content.WhichOneof("data") for content in contents.values()}
    assert {"session_start_info", "session_end_info"} <= kinds
    info = next(c.session_start_info for c in contents.values() if c.WhichOneof("data") == "session_start_info")
    assert info.hparams["bits.weight_bits"].number_value == 2
    assert info.hparams["dataset.target"].string_value == "smile"
    assert [path for path in folder.rglob("*tfevents*") if path.parent != folder] == []


def hparams_table(folder: Path) -> tuple[list[str], list[str], list[dict[str, object]]]:
    """What the HParams plugin makes of the runs below ``folder``: hyperparameters and metrics in the order of their columns,
    and the hyperparameters of each row. Its own code, on what its own reader has read."""
    runs = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
    backend = Context(TBContext(logdir=str(folder), data_provider=MultiplexerDataProvider(runs, str(folder))))
    experiment = get_experiment.Handler(RequestContext(), backend, "", api_pb2.GetExperimentRequest()).run()
    names = [info.name for info in experiment.hparam_infos]
    columns = [api_pb2.ColParams(hparam=name, include_in_result=True) for name in names]
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0, slice_size=100, allowed_statuses=api_pb2.Status.values(), col_params=columns
    )
    groups = list_session_groups.Handler(RequestContext(), backend, "", request).run().session_groups
    rows = [{name: getattr(v, str(v.WhichOneof("kind"))) for name, v in group.hparams.items()} for group in groups]
    return names, [info.name.tag for info in experiment.metric_infos], rows


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of other widths; the second was resumed with more epochs and another checkpoint interval."""
    root = tmp_path_factory.mktemp("resumed")
    for bits in (2, 4):
        words = [*SMALL, f"quantization.weight_bits={bits}"]
        start(compose_config(words), root / f"w{bits}", words)
    words += ["trainer.epochs=9", "trainer.checkpoint_every=3", f"resume={root / 'w4'}"]
    start(compose_config(words), root / "w4", words)
    return root


def test_hparams_of_a_resumed_run_are_those_that_now_hold(resumed: Path) -> None:
    rows = {row["bits.weight_bits"]: row for row in hparams_table(resumed)[2]}
    assert (rows[2]["trainer.epochs"], rows[2]["trainer.checkpoint_every"]) == (6, 2)
    assert (rows[4]["trainer.epochs"], rows[4]["trainer.checkpoint_every"]) == (9, 3)
    assert rows[4]["bits"] == "weight 4, state 8, membrane 8, synapse 8, error 8, gradient 8, rng 16"


def test_hparams_columns_begin_with_what_differs_bit_widths_and_results(resumed: Path) -> None:
    names, metrics, _ = hparams_table(resumed)
    assert names[:4] == ["bits", "bits.weight_bits", "trainer.checkpoint_every", "trainer.epochs"]
    assert names[4:10] == [f"bits.{name}_bits" for name in ("error", "gradient", "membrane", "rng", "state", "synapse")]
    costs = [f"cost/{name}" for name in ("energy_inference_pj", "energy_training_step_pj", "memory_inference_bits")]
    costs += [f"cost/{name}" for name in ("memory_training_bits", "memory_weights_bits", "synaptic_operations")]
    assert metrics[:8] == ["best/distance", *costs, "final/distance"]


def test_raster_png_is_black_white_orange_and_blue(folder: Path) -> None:
    picture = np.asarray(Image.open(folder / "raster.png"))
    colours = {tuple(colour) for colour in picture.reshape(-1, 3)}
    assert {(0, 0, 0), (255, 255, 255), (230, 159, 0)} <= colours


def test_summary_tells_what_was_reached_with_what(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert summary["epochs"] == 20
    widths = ["weight_bits", "state_bits", "membrane_bits", "synapse_bits", "error_bits", "gradient_bits", "rng_bits"]
    assert list(summary["quantization"]) == [*widths, "rng_rule", "arithmetic"]  # no width of local learning
    assert summary["final"]["relative_distance"] == pytest.approx(
        summary["final"]["distance"] / summary["silent_distance"]
    )
    assert summary["memory_bytes"] == {"parameters": (100 * 60 + 60 * 40) * 2 / 8, "state": (60 + 40) * 16 / 8}
    weights, state = (100 * 60 + 60 * 40) * 2, (60 + 40) * 16
    assert summary["memory_bits"]["weights"]["bits"] == weights
    assert summary["memory_bits"]["inference"] == {"bits": weights + state, "at_32_bits": 16 * weights + 4 * state}
    assert summary["versions"]["torch"]


def test_costs_in_tensorboard_are_those_of_the_summary(events: EventAccumulator, folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    energy, memory = summary["energy"], summary["memory_bits"]
    (inference,) = events.Scalars("cost/energy_inference_pj")
    assert (inference.step, inference.value) == (20, pytest.approx(energy["inference"]["picojoule"]))
    (step,) = events.Scalars("cost/energy_training_step_pj")
    assert step.value == pytest.approx(energy["training_step"]["picojoule"])
    assert events.Scalars("cost/memory_inference_bits")[0].value == memory["inference"]["bits"]
    assert (energy["measured"], energy["hardware"]) == ("run", "horowitz_45nm")
