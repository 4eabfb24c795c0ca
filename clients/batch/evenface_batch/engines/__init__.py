"""Engines: who scores the chunks of a job, and where."""

from collections.abc import Generator, Iterable
from typing import Protocol

from evenface_batch.items import Chunk
from evenface_batch.output import Output
from evenface_batch.plan import ModelFacts
from evenface_batch.scoring import Done


class Engine(Protocol):
    """Scores chunks, many at a time, by `scoring.score_chunk` wherever it runs them."""

    def model(self) -> ModelFacts:
        """Say which model it scores with, before anything is read.

        Raises:
            EvenfaceError: There is no such model, or it cannot encode.
        """

    def run(self, chunks: Iterable[Chunk], output: Output) -> Generator[Done, None, None]:
        """Write the part of each chunk, and say so as each is there, in any order.

        Takes no more chunks than it has under way; closing the generator ends what is under way,
        of which nothing need be kept. A chunk of which nothing comes, whatever is tried (its worker
        dies, the service refuses it), becomes rows with an error by `scoring.fail_chunk`.

        Raises:
            EvenfaceError: The job cannot go on: the disk is full, the model is gone.
        """
