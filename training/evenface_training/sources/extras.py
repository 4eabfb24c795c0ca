"""Libraries that only one kind of source needs, imported when it is used."""

import importlib
from typing import Any

from evenface_core.errors import DataError


def require(module: str, extra: str) -> Any:  # noqa: ANN401 - a module without types
    """Import a library of an optional extra.

    Args:
        module: Name of the module, as in `pyarrow.parquet`.
        extra: The extra of evenface that installs it.

    Raises:
        DataError: It is not installed; names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise DataError(
            f"this kind of source needs {library}: pip install 'evenface[{extra}]' ({error})"
        ) from error
