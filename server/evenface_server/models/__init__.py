"""The models that are served, and how they change while serving. Transport-free."""

from evenface_server.models.first import load_registry
from evenface_server.models.registry import Registry, ServedModel

__all__ = ["Registry", "ServedModel", "load_registry"]
