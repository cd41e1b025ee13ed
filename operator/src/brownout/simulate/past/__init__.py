"""A scenario from what a Prometheus remembers: the demand of yesterday, for asking what Brownout would have made of it."""
