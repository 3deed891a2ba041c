"""Commands on the volumes that nodes keep."""
