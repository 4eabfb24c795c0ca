"""Weighting at scale: a simulation of many latents through the passes of `evenface_batch`."""
