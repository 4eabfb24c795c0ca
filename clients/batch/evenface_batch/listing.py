"""The listing: what a job is to score, found once and kept in the output folder.

So a job that is resumed scores what it was begun with, whatever has come to its inputs since, and
its parts are the same. One line of JSON a chunk, read one at a time.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator

from evenface_core.errors import JobError

from evenface_batch.inputs import places_of
from evenface_batch.items import Chunk, Places
from evenface_batch.output import Folder, reason_of
from evenface_batch.plan import ListingFacts

LISTING_FILE = "listing.jsonl.gz"


def write_listing(folder: Folder, found: Iterable[Places]) -> ListingFacts:
    """Write down what was found.

    Raises:
        JobError: It cannot be written, or `found` raises it.
    """
    digest, chunks, items = hashlib.sha256(), 0, 0
    counted = True
    with folder.replacing(LISTING_FILE, compression="gzip") as file:
        for places in found:
            line = json.dumps(places.to_line(), separators=(",", ":")).encode() + b"\n"
            digest.update(line)
            file.write(line)
            chunks += 1
            items += places.count or 0
            counted = counted and places.count is not None
    return ListingFacts(digest=digest.hexdigest(), chunks=chunks, items=items if counted else None)


def read_chunks(folder: Folder, facts: ListingFacts) -> Iterator[Chunk]:
    """Read the chunks in order, one at a time.

    Raises:
        JobError: The listing is not there, damaged, or not the one of the plan.
    """
    digest = hashlib.sha256()
    try:
        with folder.open(LISTING_FILE, compression="gzip") as file:
            for index, line in enumerate(file):
                digest.update(line)
                yield Chunk(index, places_of(json.loads(line)))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise JobError(f"cannot read {folder.url}/{LISTING_FILE}: {reason_of(error)}") from error
    if digest.hexdigest() != facts.digest:
        raise JobError(
            f"{folder.url}/{LISTING_FILE}: SHA-256 is {digest.hexdigest()[:12]}…, "
            f"but the job was begun with {facts.digest[:12]}…"
        )
