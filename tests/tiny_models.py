"""Tiny random models of every family, saved as folders in the hub's layout, each with a tiny tokenizer."""

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModel, PreTrainedTokenizerFast

from inarch import quiet

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LINES = [
    "the quick brown fox jumps over the lazy dog, said Anna.",
    "Is this good or bad? It was a very good film!",
    "New York and Paris are cities; 1 2 3 4 5 6 7 8 9 0",
]


def wordpiece() -> tuple[Tokenizer, dict[str, str]]:
    """BERT's: [CLS] a [SEP] b [SEP], Chinese characters alone, words that are not known in pieces of letters."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,;!?'世界"
    words = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), "the", "good", "bad", "film", "##ing"]
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer, {name: f"[{name[:-6].upper()}]" for name in ("pad_token", "unk_token", "cls_token", "sep_token")}


def byte_level(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def gpt() -> tuple[Tokenizer, dict[str, str]]:
    """GPT-2's: no special tokens around a text, no pad token, the blank before a word is part of its token."""
    tokenizer = byte_level(["<|endoftext|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer, {"eos_token": "<|endoftext|>"}


def roberta() -> tuple[Tokenizer, dict[str, str]]:
    """RoBERTa's: <s> a </s></s> b </s>."""
    tokenizer = byte_level(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer, {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}


def sentencepiece() -> tuple[Tokenizer, dict[str, str]]:
    """Llama's: blanks are letters, nothing is cut into words, <s> before a text."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bytes_ = [f"<0x{number:02X}>" for number in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=360, special_tokens=["<unk>", "<s>", "</s>", *bytes_], show_progress=False)
    # trained with words kept apart, as SentencePiece does; used without, as Llama's file says
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.pre_tokenizer = None
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    return tokenizer, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
BERT = {**SIZES, "max_position_embeddings": 64}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
BART = {
    "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 64,
}  # fmt: skip
DEBERTA = {
    **BERT, "relative_attention": True, "position_biased_input": False, "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm", "conv_kernel_size": 3, "type_vocab_size": 0, "share_att_key": True,
    "position_buckets": 8,
}  # fmt: skip
FAMILIES: dict[str, tuple[str, dict[str, Any], Any]] = {
    "bert": ("BertConfig", BERT, wordpiece),
    "roberta": ("RobertaConfig", {**BERT, "max_position_embeddings": 66, "type_vocab_size": 1}, roberta),
    "deberta-v2": ("DebertaV2Config", DEBERTA, wordpiece),
    "distilbert": (
        "DistilBertConfig",
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "max_position_embeddings": 64},
        wordpiece,
    ),
    "modernbert": ("ModernBertConfig", {**BERT, "global_attn_every_n_layers": 2, "local_attention": 8}, wordpiece),
    "albert": ("AlbertConfig", {**BERT, "embedding_size": 8}, wordpiece),
    "gpt2": ("GPT2Config", {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}, gpt),
    "llama": ("LlamaConfig", {**BERT, "num_key_value_heads": 2}, sentencepiece),
    "t5": ("T5Config", T5, wordpiece),
    "bart": ("BartConfig", BART, roberta),
}


def save(name: str, folder: Path) -> Path:
    kind, options, make = FAMILIES[name]
    tokenizer, special = make()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    ids = {f"{key[:-6]}_token_id": wrapped.convert_tokens_to_ids(token) for key, token in special.items()}
    ids = {key: ids.get(key) for key in ("pad_token_id", "bos_token_id", "eos_token_id")}
    config = getattr(transformers, kind)(vocab_size=tokenizer.get_vocab_size(), **options, **ids)
    torch.manual_seed(0)
    with quiet():
        network = AutoModel.from_config(config)
        for parameter in network.parameters():  # initial values are so small that all texts look alike
            parameter.data += 0.1 * torch.randn_like(parameter)
        network.save_pretrained(folder)
        wrapped.save_pretrained(folder)
    return folder
