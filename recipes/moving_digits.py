"""Videos of digits that fly about in a box."""

import numpy as np

DIGIT = 14
"""Rows and columns of a digit on the move: MNIST's 28, halved."""
SLOWEST, FASTEST = 1, 3
"""Pixels that a digit moves from one frame to the next, along each axis."""


def make(images: np.ndarray, count: int, *, frames: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sends a digit flying through each video, and tells where it turns.

    Args:
        images: (images, 28, 28, 1) uint8, of which each video has one.
        count: How many videos.
        frames: Frames of each.
        size: Rows and columns of a frame.
        seed: Of the choice, the starts and the directions.

    Returns:
        The videos, (count, frames, size, size, 1) float32 between 0 and 1, and for each frame 0 where the digit moves
        on, 1 where it has turned at the left or right wall since the last frame, 2 where at top or bottom (and perhaps
        at a side too), (count, frames) int32.
    """
    random = np.random.default_rng(seed)
    chosen = images[random.integers(0, len(images), count), ..., 0].astype("float32") / 255
    small = chosen.reshape(count, DIGIT, 2, DIGIT, 2).mean(axis=(2, 4))
    free = size - DIGIT
    # Not at a wall, where nobody could tell whether it is about to turn.
    place = random.integers(1, free, (count, 2))
    pace = random.integers(SLOWEST, FASTEST + 1, (count, 2)) * random.choice([-1, 1], (count, 2))
    videos = np.zeros((count, frames, size, size, 1), "float32")
    labels = np.zeros((count, frames), "int32")
    rows = np.arange(DIGIT)
    for frame in range(frames):
        if frame:
            moved = place + pace
            out = (moved < 0) | (moved > free)
            # A wall mirrors the way that is left.
            place = np.where(moved < 0, -moved, np.where(moved > free, 2 * free - moved, moved))
            pace = np.where(out, -pace, pace)
            labels[:, frame] = np.where(out[:, 0], 2, out[:, 1])
        down, across = place[:, 0, None, None] + rows[:, None], place[:, 1, None, None] + rows
        videos[np.arange(count)[:, None, None], frame, down, across, 0] = small
    return videos, labels
