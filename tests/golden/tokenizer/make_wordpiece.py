"""wordpiece.json: small WordPiece tokenizers, the ids that `tokenizers` gives and the texts that it makes of them.

    python make_wordpiece.py          (tokenizers 0.23)
"""
import json
import os

from tokenizers import Tokenizer, decoders as D, models, normalizers as N, pre_tokenizers as P, processors, trainers

here = os.path.dirname(os.path.abspath(__file__))
text = open(os.path.join(here, "text.txt"), encoding="utf-8").read()
texts = json.load(open(os.path.join(here, "sections.json"), encoding="utf-8"))["texts"]
texts += ["Hello, w\u00f6rld! Don't: (stop)...", "\u4e2d\u6587x\u4e2d", "x" * 101, "x" * 100, "the " * 3 + "unthe", "a\u0000b\ufffdc\u00add",
          "\u061dx \u166dy", "[CLS]the[SEP]", "\u0130\u00df\u01c5", "a\u0301\u0323b\ua9bd"]
special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def make(normalizer, pre, processor, cleanup=True):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizer, pre, D.WordPiece(cleanup=cleanup)
    t.train_from_iterator([text], trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False))
    t.post_processor = processor
    return t


around = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
made = {"uncased": make(N.BertNormalizer(), P.BertPreTokenizer(), around),
        "cased": make(N.BertNormalizer(lowercase=False), P.BertPreTokenizer(), processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))),
        "as it is": make(N.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True), P.Whitespace(),
                         around, cleanup=False),
        "plain": make(N.Lowercase(), P.WhitespaceSplit(), around)}
out = {"texts": texts, "tokenizers": []}
for name, t in made.items():
    ids = [t.encode(x, add_special_tokens=False).ids for x in texts]
    out["tokenizers"].append({"name": name, "tokenizer": json.loads(t.to_str()), "ids": ids,
                              "decoded": [t.decode(x, skip_special_tokens=False) for x in ids]})
with open(os.path.join(here, "wordpiece.json"), "w", encoding="ascii") as f:
    json.dump(out, f, separators=(",", ":"))
    f.write("\n")
