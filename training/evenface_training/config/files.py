"""Configurations as YAML files: ready-made ones by name, others by path."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from evenface_core.config import load_yaml
from evenface_core.errors import ConfigError

from evenface_training.config.training import TrainingConfig


def load_config(name_or_path: str, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read a configuration by its ready-made name or its path.

    Args:
        name_or_path: A name out of `ready_made()`, or the path of a YAML file.
        overrides: `key.sub=value` pairs that replace single values.

    Raises:
        ConfigError: There is no such file, or a key or value in it is wrong.
    """
    return load_yaml(TrainingConfig, _find(name_or_path), overrides)


def ready_made() -> list[str]:
    """Names of the configurations that ship with the package."""
    folder = resources.files("evenface_training") / "configs"
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    )


def _find(name_or_path: str) -> Path:
    path = Path(name_or_path)
    if path.is_file():
        return path
    if name_or_path in ready_made():
        return Path(str(resources.files("evenface_training") / "configs" / f"{name_or_path}.yaml"))
    raise ConfigError(
        f"{path}: no such file, and the ready-made ones are {', '.join(ready_made())}"
    )
