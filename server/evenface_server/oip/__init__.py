"""The Open Inference Protocol over the same engine, for clients that speak it already.

A model of the protocol has inputs and outputs that never change, so that each function of each of
our models is one: MODEL.FUNCTION, such as `faces.encode`.
"""

from evenface_server.oip.service import InferenceService

__all__ = ["InferenceService"]
