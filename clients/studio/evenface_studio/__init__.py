"""A web page over a running service, to look at what its models know: `evenface-studio`."""
