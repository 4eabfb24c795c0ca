"""Runs the studio: `python -m evenface_studio`."""

import sys

from evenface_studio.main import main

sys.exit(main())
