"""Agents: deploying, applying, changing, listing."""
