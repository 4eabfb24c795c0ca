"""The tab Dataset: what a data set's weights say, and the faces that they raise."""

from evenface_studio.dataset.handlers import context, routes

__all__ = ["context", "routes"]
