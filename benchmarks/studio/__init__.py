"""How soon a slider's new face is on the screen: `python -m benchmarks.studio`."""
