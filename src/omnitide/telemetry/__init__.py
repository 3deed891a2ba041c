"""What the fabric tells about itself: structured logs (`logs`, `masking`, `rendering`), samples over time (`series`).

Standard library and msgspec only, since the node proxy loads it; of `series` some parts need NumPy, which it does not
load. Imports nothing of ours.
"""
