"""The contracts that training, export, server and clients share.

Import the submodule that is needed: this package imports none of them itself, so that
`evenface_core.resampling`, `latents`, `tensors` and `errors` work with numpy alone.
"""
