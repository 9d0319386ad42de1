"""Fine-tuning: all logit sets on frozen epoch encoders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.mc2sleepnet import MC2SleepNet
from offline_training.data.recordings import LabelledNight
from offline_training.evaluation.scores import Scores
from offline_training.evaluation.streaming import Streamed, probabilities, stream_all
from offline_training.training.distributed import Ranks
from offline_training.training.losses import logit_loss
from offline_training.training.parts import ValidationResult, mixed
from offline_training.training.reading import encode_nights
from offline_training.training.recipe import TrainingRecipe
from offline_training.training.tracks import half_causal, stage_weights, track_losses
from offline_training.training.windows import DrawnWindows, Windows


class FinetunePart:
    """Staging of windows with all logit sets. A `parts.Part`.

    The encoders are frozen, so the constructor encodes every night once with ``network`` as it is
    then, and no step encodes an epoch again.
    """

    name = "finetune"

    def __init__(
        self,
        network: MC2SleepNet,
        train: Sequence[LabelledNight],
        validation: Sequence[LabelledNight],
        recipe: TrainingRecipe,
        ranks: Ranks,
    ) -> None:
        self.schedule = recipe.finetune
        self.epochs_per_item = recipe.sequence_length
        self.recipe, self.device = recipe, ranks.device
        nights = encode_nights(network, train, ranks)
        self.weight = stage_weights(nights, recipe.class_weight_power)
        self.windows = Windows(
            [night.stage for night in nights],
            [night.scored for night in nights],
            recipe.sequence_length,
            recipe.hide,
        )
        laid_out = self.windows.lay_out([night.embeddings.numpy() for night in nights], 0)
        self.embeddings = torch.from_numpy(laid_out)  # (N, E)
        self.validation = encode_nights(network, validation, ranks)

    def read(self, random: np.random.Generator) -> DrawnWindows:
        return self.windows.draw_labelled(random, self.schedule.micro_batch)

    def loss(self, network: MC2SleepNet, drawn: DrawnWindows) -> Tensor:
        embeddings = self.embeddings[torch.from_numpy(drawn.rows)].to(self.device)  # (B, L, E)
        with mixed(self.device):
            logits = half_causal(network.views, embeddings, drawn.scored.to(self.device))
        return logit_loss(logits, drawn.stage.to(self.device), self.weight.to(self.device))

    def validate(self, network: MC2SleepNet) -> ValidationResult:
        streamed = self.stream_validation(network, self.recipe.evaluate_stride)
        live, revised = track_losses(streamed, self.weight)
        figures: dict[str, float | None] = {"live_loss": live, "revised_loss": revised}
        for track, answer in zip(
            ("live", "revised"), probabilities(network, streamed), strict=True
        ):
            scores = Scores.of(streamed.truth, answer).to_json()
            figures |= {f"{track}_{name}": scores[name] for name in ("accuracy", "kappa")}
        return ValidationResult(live + revised, figures)

    def stream_validation(self, network: MC2SleepNet, stride: int) -> Streamed:
        """Stage every ``stride``-th epoch of the validation nights as the monitor would."""
        recipe = self.recipe
        return stream_all(
            network, self.validation, recipe.sequence_length, recipe.revision_epochs, stride
        )
