"""The page of a job: counts, errors, latents, the rarest and the commonest faces. One HTML file."""

from evenface_batch.page.layout import PAGE_FILE, write_page

__all__ = ["PAGE_FILE", "write_page"]
