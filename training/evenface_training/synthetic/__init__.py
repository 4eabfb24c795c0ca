"""The synthetic benchmark: drawn faces and hard non-faces of which everything is known."""

from evenface_training.synthetic.config import Frequencies, SyntheticConfig
from evenface_training.synthetic.render import Rendered, render_faces, render_nonfaces
from evenface_training.synthetic.streams import balanced, collect, stream

__all__ = [
    "Frequencies",
    "Rendered",
    "SyntheticConfig",
    "balanced",
    "collect",
    "render_faces",
    "render_nonfaces",
    "stream",
]
