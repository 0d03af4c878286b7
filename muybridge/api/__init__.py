"""The HTTP face: one service, one canonical job, and one file per wire protocol. No torch."""
