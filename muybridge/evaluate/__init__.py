"""Measures that can fail: lip sync and drift, pictures, words, sounds, choices. Pure functions, no models."""
