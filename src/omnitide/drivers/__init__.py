"""What runs an instance on a node: one small protocol (`protocol`), one file each driver.

Imports model; nothing of Nexus. The reconciler in `node` is its only user.
"""
