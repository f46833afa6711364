"""The config: schema, checks that explain themselves, and builders from a config to a run. Only here lives Hydra."""
