"""The T5Gemma encoder with tiny random weights: true lengths, no padding, cutting, strict loading, published shapes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5GemmaConfig, T5GemmaEncoderModel, T5GemmaForConditionalGeneration

from muybridge.errors import InvalidRequest, WeightsInvalid
from muybridge.model.codecs import TextEncoder
from muybridge.model.text_encoder import T5GemmaTextEncoder, load_text_encoder

WORDS = ["<pad>", "<eos>", "<bos>", "<unk>", "a", "horse", "runs", "and", "speaks", "softly"]
SMALL: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "query_pre_attn_scalar": 8,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published checkpoint in small: encoder and decoder together, with its tokenizer."""
    path = tmp_path_factory.mktemp("t5gemma")
    torch.manual_seed(0)
    config = T5GemmaConfig(encoder=SMALL, decoder=SMALL, vocab_size=len(WORDS))
    T5GemmaForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(path)
    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing("<bos> $A", special_tokens=[("<bos>", 2)])
    PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>"
    ).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def encoder(folder: Path) -> T5GemmaTextEncoder:
    return load_text_encoder(folder, dtype=torch.float32)


def test_true_lengths_without_padding(encoder: T5GemmaTextEncoder) -> None:
    """Prompts of unlike length keep theirs, and each is encoded as if alone."""
    assert isinstance(encoder, TextEncoder)
    assert encoder.num_channels == 32
    short, long = encoder.encode(["a horse", "a horse runs and speaks softly"])
    assert short.shape == (3, 32)
    assert long.shape == (7, 32)
    assert torch.equal(encoder.encode(["a horse"])[0], short)


def test_equals_the_whole_models_encoder(encoder: T5GemmaTextEncoder, folder: Path) -> None:
    whole = T5GemmaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    token_ids = torch.tensor([[2, 4, 5, 6]])
    with torch.no_grad():
        expected = whole.get_encoder()(token_ids, attention_mask=torch.ones_like(token_ids)).last_hidden_state[0]
    torch.testing.assert_close(encoder.encode(["a horse runs"])[0], expected)


def test_a_token_that_equals_the_pad_token_is_read(encoder: T5GemmaTextEncoder) -> None:
    """Nothing is padding here: the same words with <pad> among them give other features, of the full length."""
    plain, with_pad = encoder.encode(["a horse", "a <pad> horse"])
    assert with_pad.shape == (4, 32)
    assert with_pad.isfinite().all()
    assert not torch.allclose(with_pad[-1], plain[-1])


def test_features_are_bf16_by_default(folder: Path) -> None:
    assert load_text_encoder(folder).encode(["a horse"])[0].dtype == torch.bfloat16


def test_a_long_prompt_is_cut_with_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The whole prompt is read and the features cut at 640: a longer prompt's first features know its end."""
    encoder = load_text_encoder(folder, dtype=torch.float32)
    with caplog.at_level(logging.WARNING):
        fits = encoder.encode(["horse " * 639])[0]
    assert fits.shape == (640, 32)
    assert "tokens; the model reads" not in caplog.text
    with caplog.at_level(logging.WARNING):
        features = encoder.encode(["horse " * 700])[0]
    assert features.shape == (640, 32)
    assert "701 tokens; the model reads the first 640" in caplog.text


def test_an_empty_prompt_is_refused(encoder: T5GemmaTextEncoder) -> None:
    class NoTokens:
        def __call__(self, *_: object, **__: object) -> dict[str, torch.Tensor]:
            return {"input_ids": torch.zeros(1, 0, dtype=torch.long)}

    with pytest.raises(InvalidRequest, match="empty"):
        T5GemmaTextEncoder(encoder.model, NoTokens()).encode([""])


def test_loading_is_strict(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    state = load_file(weights)
    name = next(n for n in state if "encoder.layers.1" in n and "q_proj" in n)
    save_file({k: v for k, v in state.items() if k != name}, weights, {"format": "pt"})
    with pytest.raises(WeightsInvalid, match="1 encoder tensors are missing"):
        load_text_encoder(tmp_path)
    save_file(state | {"model.encoder.layers.7.extra": torch.zeros(1)}, weights, {"format": "pt"})
    with pytest.raises(WeightsInvalid, match="1 are unknown"):
        load_text_encoder(tmp_path)
    save_file(state | {name: torch.zeros(3, 3)}, weights, {"format": "pt"})
    with pytest.raises(WeightsInvalid):
        load_text_encoder(tmp_path)
    weights.write_bytes(weights.read_bytes()[:50])
    with pytest.raises(WeightsInvalid):
        load_text_encoder(tmp_path)
    weights.unlink()
    with pytest.raises(WeightsInvalid):
        load_text_encoder(tmp_path)
    with pytest.raises(WeightsInvalid, match=r"config\.json"):
        load_text_encoder(tmp_path / "absent")


def test_published_encoder_shapes() -> None:
    """The 9B encoder on the meta device: 42 layers of width 3584, 16 query and 8 key heads of 256."""
    nine_b = {
        "hidden_size": 3584,
        "num_hidden_layers": 42,
        "intermediate_size": 14_336,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 256,
        "query_pre_attn_scalar": 256,
        "vocab_size": 256_000,
    }
    config = T5GemmaConfig(encoder=nine_b, decoder=nine_b, is_encoder_decoder=False)
    with torch.device("meta"):
        model = T5GemmaEncoderModel(config)
    shapes = {name: list(p.shape) for name, p in model.named_parameters()}
    assert shapes["encoder.layers.41.self_attn.q_proj.weight"] == [4096, 3584]
    assert shapes["encoder.layers.0.mlp.down_proj.weight"] == [3584, 14_336]
    assert shapes["encoder.embed_tokens.weight"] == [256_000, 3584]
    assert sum(p.numel() for p in model.parameters()) == 9_241_705_984
