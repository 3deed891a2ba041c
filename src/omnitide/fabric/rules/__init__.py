"""What each command is decided into, by concept, and the reactions that follow (`settle`)."""
