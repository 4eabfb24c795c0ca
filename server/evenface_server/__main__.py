"""`python -m evenface_server`."""

import sys

from evenface_server.main import main

sys.exit(main())
