"""`python -m evenface_client`: the same as the command `evenface`."""

import sys

from evenface_client.cli import main

if __name__ == "__main__":
    sys.exit(main())
