"""Where images come from: folders, data sets in their own layout, archives and tables.

A source (`source.Source`) yields items one after the other; `cache` decodes them once, whatever
the source, and keeps them as a memory-mapped array with a listing. Knows nothing of training.
"""
