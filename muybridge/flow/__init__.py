"""Rectified flow: schedule, solver, noise, guidance, objectives. The model is only `velocity(x, t, context)`.

The convention, everywhere in Muybridge:

    x_t      = (1 - sigma) * x_0 + sigma * noise       data at sigma = 0, noise at sigma = 1
    velocity = d x_t / d sigma = noise - x_0
    x_0      = x_t - sigma * velocity

`t` given to a velocity function is sigma itself, in [0, 1]; `timestep` is the integer int(1000 * sigma) that the
published guidance rule compares with 500. `step` is a position in a schedule. A velocity function maps latents, one
tensor per stream ("video", "audio"), to velocities of the same shapes: (x, t, context) -> {"video": ..., "audio": ...}.
"""
