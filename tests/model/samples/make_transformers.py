"""Write tiny BERTs of chance, as Transformers and sentence-transformers save them, and what they answer."""

import json
import sys
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer, models
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers import models as of_tokens
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedTokenizerFast,
    pipeline,
)

FOLDER = Path(sys.argv[1])
TEXTS = ["a good day", "a bad one"]
SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "bad", "day", "one"]
words = Tokenizer(of_tokens.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
words.post_processor = processors.TemplateProcessing(
    "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
)
marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=16, **marks)
torch.manual_seed(0)
config = BertConfig(
    vocab_size=len(WORDS), max_position_embeddings=16, num_labels=2, initializer_range=1.0, **SMALL
)
config.id2label = {0: "no", 1: "yes"}
config.label2id = {"no": 0, "yes": 1}
for name, kind in (("labels", BertForSequenceClassification), ("base", BertModel)):
    kind(config).eval().save_pretrained(FOLDER / name)
    tokenizer.save_pretrained(FOLDER / name)
asked = {"dataframe_split": {"columns": ["text"], "data": [[text] for text in TEXTS]}}
answers = {"labels": (asked, pipeline("text-classification", model=str(FOLDER / "labels"))(TEXTS))}
inner = models.Transformer(str(FOLDER / "base"))
sentences = SentenceTransformer(modules=[inner, models.Pooling(8)], device="cpu")
sentences.save(str(FOLDER / "sentences"))
answers["sentences"] = (asked, sentences.encode(TEXTS).tolist())
(FOLDER / "answers.json").write_text(json.dumps(answers))
