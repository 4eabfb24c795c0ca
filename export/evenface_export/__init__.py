"""From a checkpoint to a bundle: ONNX graphs, what they are worth, and a card that says so.

Uses torch, ONNX and ONNX Runtime; knows nothing of gRPC or of the server.
"""
