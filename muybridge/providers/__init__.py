"""Who can generate: our own engine and every remote provider behind one protocol."""
