"""What lets others rely on a file: who made it, with what, and whether it is still as it was."""
