"""Durable work: one SQL row per job, leases renewed by progress, publication exactly once. Knows nothing of video."""

from muybridge.jobs.job import Artifact, Claim, Event, Job, NewJob, Signals
from muybridge.jobs.store import Store

__all__ = ["Artifact", "Claim", "Event", "Job", "NewJob", "Signals", "Store"]
