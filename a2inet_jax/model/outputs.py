"""Output of a model for a batch of videos."""

import flax.struct
import jax


@flax.struct.dataclass
class Outputs:
    """Scores of a batch, on the scale of the labels that the model was trained on.

    Attributes:
        score: `[B]`, float32 or wider: the videos' scores.
        frame_scores: `[B, T]`, same dtype: the frame scores q_t, before temporal pooling; 0 in the
            padding.
    """

    score: jax.Array
    frame_scores: jax.Array
