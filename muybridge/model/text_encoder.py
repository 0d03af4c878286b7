"""The open 15B's text encoder: the encoder half of google/t5gemma-9b-9b-ul2 through transformers, bf16.

One prompt at a time and no padding: features have the prompt's true length, and pad tokens never reach the model.
Shape suffixes: N tokens, C channels.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError

from muybridge.errors import InvalidRequest, NotInstalled, WeightsInvalid

if TYPE_CHECKING:
    from torch import nn

MAX_TOKENS = 640  # `t5_gemma_target_length` of the open 15B: it never saw more

logger = logging.getLogger(__name__)


class T5GemmaTextEncoder:
    """TextEncoder over a T5GemmaEncoderModel and its tokenizer."""

    def __init__(self, model: nn.Module, tokenizer: Any, *, max_tokens: int = MAX_TOKENS) -> None:  # noqa: ANN401  transformers' tokenizers share no public base type
        self.model = model
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.num_channels: int = model.get_parameter("encoder.embed_tokens.weight").shape[1]

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> list[torch.Tensor]:
        """Raw prompts -> their last hidden states [N, C] in the model's dtype, on its device, N <= `max_tokens`.

        The encoder reads the whole prompt and the features are then cut at `max_tokens`, as the reference does; a cut
        is logged as a warning with both lengths. Raises InvalidRequest for a prompt that has no tokens.
        """
        weight = self.model.get_parameter("encoder.embed_tokens.weight")
        features = []
        for prompt in prompts:
            token_ids = self.tokenizer(prompt, return_tensors="pt")["input_ids"].to(weight.device)
            num_tokens = token_ids.shape[1]
            if num_tokens == 0:
                raise InvalidRequest("the prompt is empty.", "prompt")
            # An explicit mask of ones: the default one would hide a prompt's own token that equals the pad token.
            hidden = self.model(input_ids=token_ids, attention_mask=torch.ones_like(token_ids)).last_hidden_state[0]
            if num_tokens > self.max_tokens:
                logger.warning(
                    "the prompt has %d tokens; the model reads the first %d and ignores the rest. Shorten it.",
                    num_tokens,
                    self.max_tokens,
                )
            features.append(hidden[: self.max_tokens])
        return features


def load_text_encoder(
    folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.bfloat16, max_tokens: int = MAX_TOKENS
) -> T5GemmaTextEncoder:
    """Load encoder and tokenizer from a local folder in the published layout; nothing is downloaded.

    Only the encoder's tensors of the encoder-decoder checkpoint are read (about 18 GB in bf16). Raises NotInstalled
    without transformers, WeightsInvalid for a folder that is not such a checkpoint or lacks encoder tensors.
    """
    try:
        from transformers import AutoTokenizer, T5GemmaConfig, T5GemmaEncoderModel
    except ImportError as error:
        raise NotInstalled("The text encoder needs transformers: pip install 'muybridge[15b]'") from error
    if not (folder / "config.json").is_file():
        raise WeightsInvalid(f"{folder} has no config.json; `muybridge weights pull 15b` fetches the text encoder.")
    try:
        config = T5GemmaConfig.from_pretrained(folder, is_encoder_decoder=False, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        encoder_only = type(
            "T5GemmaEncoderOnly",
            (T5GemmaEncoderModel,),
            # The checkpoint's decoder half is left over on purpose; without this transformers reports it as a fault.
            {"_keys_to_ignore_on_load_unexpected": [r"^(model\.)?decoder\.", r"^lm_head\."]},
        )
        # Any: the declared return type leaves out the pair that output_loading_info gives.
        model, report = cast(Any, encoder_only).from_pretrained(
            folder, config=config, dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsInvalid(f"{os.fspath(folder)} is not a readable T5Gemma checkpoint: {error}") from error
    absent, extra = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    if absent or extra or report["mismatched_keys"]:
        raise WeightsInvalid(
            f"{folder}: {len(absent)} encoder tensors are missing ({', '.join(absent[:8])}), {len(extra)} are unknown "
            f"({', '.join(extra[:8])}), {len(report['mismatched_keys'])} have the wrong shape."
        )
    return T5GemmaTextEncoder(model.to(device).eval().requires_grad_(False), tokenizer, max_tokens=max_tokens)
