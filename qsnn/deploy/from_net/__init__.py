"""From a trained net of torch to a `Model` of integers."""
