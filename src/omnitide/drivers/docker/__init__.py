"""The driver `docker`: runs are containers of a Docker Engine, or of Podman's compatible socket.

Imports the model and, once there is an engine to talk to, aiodocker; never before: most nodes have none.
"""
