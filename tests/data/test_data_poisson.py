import time

import numpy as np
import torch

from qsnn.data.generators.poisson import generate_poisson_input, mean_intervals


def test_mean_intervals_grow_by_a_quarter_every_five_channels():
    means = mean_intervals(700)
    assert means[:6].tolist() == [1.25] * 5 + [1.5]
    assert means[699] == 1 + 0.25 * 140


def test_poisson_input_is_a_binary_raster_of_the_asked_size():
    raster = generate_poisson_input(250, 700, seed=0)
    assert raster.shape == (250, 700)
    assert raster.dtype == torch.float32
    assert set(raster.unique().tolist()) == {0.0, 1.0}


def test_poisson_input_is_the_same_for_the_same_seed_alone():
    first, again, other = (generate_poisson_input(100, 50, seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_poisson_input_does_not_touch_the_global_generators():
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    generate_poisson_input(100, 50, seed=0)
    assert (np.random.get_state()[1] == numpy_state).all()
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_poisson_input_rates_follow_from_merging_the_intervals_of_zero():
    # Merged, the intervals are Poisson numbers above zero, of mean m / (1 - e^-m); a channel's rate is its inverse.
    num_steps = 20_000
    means = mean_intervals(200)
    rates = generate_poisson_input(num_steps, 200, seed=1).mean(dim=0).numpy()
    expected = (1 - np.exp(-means)) / means
    # A renewal count of variance var(gap) / mean(gap)^3 a step; var(gap) < m here, so this is over 4.5 sigma.
    sigma = np.sqrt(means * expected**3 / num_steps)
    assert (np.abs(rates - expected) < 4.5 * sigma + 1 / num_steps).all()


def test_poisson_input_gaps_are_poisson_numbers_above_zero():
    raster = generate_poisson_input(50_000, 5, seed=2).numpy()
    gaps = np.concatenate([np.diff(np.flatnonzero(channel)) for channel in raster.T])
    for length, factorial in ((1, 1), (2, 2), (3, 6), (4, 24)):
        expected = 1.25**length / factorial / np.expm1(1.25)
        assert abs((gaps == length).mean() - expected) < 0.006


def test_poisson_input_starts_with_an_interval_and_not_with_a_spike():
    # Five channels of mean 1.25: a spike at step 0 needs a first interval of zero.
    first_step = torch.stack([generate_poisson_input(1, 5, seed)[0] for seed in range(1000)])
    assert abs(first_step.mean().item() - np.exp(-1.25)) < 0.03


def test_poisson_input_reaches_the_last_step_in_every_channel():
    # The slowest channel spikes every 36 steps: none can be silent for the last 300, unless drawing stopped early.
    assert generate_poisson_input(10_000, 700, seed=0)[-300:].any(dim=0).all()


def test_poisson_input_is_quick_at_ten_thousand_steps():
    start = time.perf_counter()
    generate_poisson_input(10_000, 700, seed=0)
    assert time.perf_counter() - start < 5
