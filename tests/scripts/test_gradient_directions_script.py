"""scripts/gradient_directions.py: cosines between gradients, on the weights of a real run."""

from types import ModuleType

import pytest
import torch
from scripts_module import load_script

import qsnn


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("gradient_directions")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A short run's net and data, and the run to begin with."""
    folder = tmp_path_factory.mktemp("directions")
    net = [
        "experiment=yin_yang",
        "model.hidden=[30]",
        "dataset.num_train=300",
        "dataset.num_test=30",
        f"dataset.cache={folder}",
    ]
    qsnn.run([*net, "trainer.epochs=1", "logging.progress=false", "logging.to=[]", f"hydra.run.dir={folder / 'run'}"])
    return [*net, f"start_from={folder / 'run'}"]


def test_cosines_are_of_directions_and_0_where_a_gradient_is_0(script: ModuleType) -> None:
    one, none = torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)
    pairs = [({"w": one}, {"w": 3 * one}), ({"w": one}, {"w": torch.tensor([[1.0, 1.0]])}), ({"w": one}, {"w": none})]
    found = [script.cosines([some], [other])["w"] for some, other in pairs]
    assert found == pytest.approx([1.0, 0.5**0.5, 0.0])
    assert script.cosines([one for one, _ in pairs], [other for _, other in pairs])["w"] == pytest.approx(
        sum(found) / 3
    )


def test_gradients_are_of_the_runs_weights_and_turn_with_the_width_of_the_errors(
    script: ModuleType, words: list[str]
) -> None:
    exact, again, coarse = (script.gradients(words, bits, 2) for bits in (None, None, 2))
    assert len(exact) == 2
    assert all(torch.equal(one[name], other[name]) for one, other in zip(exact, again, strict=True) for name in one)
    assert all(0 < cosine < 0.99 for cosine in script.cosines(coarse, exact).values())


def test_gradient_directions_print_a_line_for_each_width(
    script: ModuleType, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    script.main([*words, "--bits", "2", "8", "--batches", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| error bits | hidden.weight | output.weight |"
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["2", "8"]


@pytest.mark.parametrize(
    ("given", "message"),
    [(["experiment=yin_yang"], "of a run: start_from=outputs/<experiment>/<time>"),
     (["experiment=gesture_demo", "start_from=x"], "gradients are of nets that learn by trainer=bptt"),
     (["experiment=yin_yang", "start_from=x"], "error: x is not a folder")],
)  # fmt: skip
def test_gradient_directions_refuse_what_has_none(
    script: ModuleType, capsys: pytest.CaptureFixture[str], given: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as exit_:
        script.main(given)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err
