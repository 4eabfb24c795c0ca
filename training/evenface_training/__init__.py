"""Training of the lab's CNN classifier, VAE and debiasing VAE (DB-VAE) on folders of images.

Uses torch; knows nothing of ONNX, gRPC or serving. `evenface_export` is its only importer.
"""
