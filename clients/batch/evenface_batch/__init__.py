"""Scoring jobs over many images: latents, face probabilities and resampling weights, as Parquet."""
