"""The gRPC server around `evenface_runtime`: models, batching, limits, metrics."""
