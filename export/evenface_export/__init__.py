"""From a checkpoint to a bundle: ONNX graphs, what they are worth, and a card that says so.

Uses torch, ONNX and ONNX Runtime; knows nothing of gRPC or of the server.
"""

import os

# ONNX Runtime's wheels report on their use to their maker, and begin to when they are imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
