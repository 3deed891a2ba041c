"""What the fabric tells about itself: structured logs (`logs`, `masking`, `rendering`).

Standard library and msgspec only, since the node proxy loads it. Imports nothing of ours.
"""
