"""A net of local learning as a module: what it says of input spikes."""

from pathlib import Path

import torch
from local_data import make_local_run


def test_local_net_called_on_a_batch_votes_as_its_learner_does(tmp_path: Path) -> None:
    run = make_local_run(tmp_path / "run", tmp_path, "trainer.burn_in=0")
    batch = run.task.example_batch()
    readouts = run.state.model(batch.input)
    tallies = run.learner.evaluate(run.state.model, batch)
    assert list(readouts) == list(tallies) == ["layer1", "layer2"]
    for name, readout in readouts.items():
        assert readout.shape == (*batch.input.shape[:2], 10)
        votes = torch.nn.functional.one_hot(readout.argmax(2), 10).sum(0)
        assert torch.equal(votes, tallies[name].votes)
