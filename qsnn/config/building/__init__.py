"""From a checked config to data, nets and runs: which key reaches which constructor."""
