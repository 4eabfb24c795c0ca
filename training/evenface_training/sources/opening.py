"""From settings to a source."""

from pathlib import Path
from typing import assert_never

from evenface_training.sources.celeba import CelebaSource
from evenface_training.sources.drawn import DrawnSource
from evenface_training.sources.fairface import FairfaceSource
from evenface_training.sources.folders import FolderSource
from evenface_training.sources.hdf5 import Hdf5Source
from evenface_training.sources.parquet import ParquetSource
from evenface_training.sources.settings import (
    CelebaSettings,
    FairfaceSettings,
    Hdf5Settings,
    ParquetSettings,
    SourceSettings,
    SyntheticSettings,
    UtkfaceSettings,
    WebdatasetSettings,
)
from evenface_training.sources.source import Source
from evenface_training.sources.utkface import UtkfaceSource
from evenface_training.sources.webdataset import WebdatasetSource


def open_source(settings: SourceSettings, size: int) -> Source:
    """Make the source that a configuration names.

    Args:
        settings: Its settings.
        size: Height and width in pixels that the images are wanted in, for a source that draws.

    Raises:
        DataError: It is not there, or not of its kind.
    """
    match settings:
        case Path():
            source: Source = FolderSource(settings)
        case CelebaSettings():
            source = CelebaSource(settings.path)
        case FairfaceSettings():
            source = FairfaceSource(settings.path)
        case Hdf5Settings():
            source = Hdf5Source(settings.path, settings.channel_order)
        case ParquetSettings():
            source = ParquetSource(settings.path, settings.image_column)
        case SyntheticSettings():
            source = DrawnSource(settings, size)
        case UtkfaceSettings():
            source = UtkfaceSource(settings.path)
        case WebdatasetSettings():
            source = WebdatasetSource(settings.path)
        case _:
            assert_never(settings)
    return source
