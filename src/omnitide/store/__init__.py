"""The event log and, later, the other tiers: where what was decided is kept.

Imports fabric and model. `protocol` says what any log must do; `rocksdb` and `memory` do it.
"""
