"""Runs evenface-batch with the arguments given. Its exit code 1 is none for a Job.

It says that all is done, and that some images have an error in the output.
"""

import sys

from evenface_batch.main import EXIT_ERRORS, main

if __name__ == "__main__":
    code = main()
    sys.exit(0 if code == EXIT_ERRORS else code)
