"""unigram.json: small unigram models, as SentencePiece writes them and as tokenizer.json, and the ids that SentencePiece
and `tokenizers` give.

    python make_unigram.py          (tokenizers 0.23, sentencepiece 0.2.3)
"""
import base64
import json
import os
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models, normalizers as N, pre_tokenizers as P

here = os.path.dirname(os.path.abspath(__file__))
texts = json.load(open(os.path.join(here, "sections.json"), encoding="utf-8"))["texts"]
texts += ["a" * n for n in (61, 150)] + ["hello" * 5, " x \u2581a", "x\u2581 a", "\u2581\u2581a b", "\u00e9e\u0301 \ufb01x \uff21\uff21",
                                         "e\u0301\u0302", "\ufb01\u0301", "a\tb\t\tc \n d", "''x''", "foo bar", "xfoo barx"]
mark = "\u2581"
rules = [("\ufb01", "fi"), ("e\u0301", "\u00e9"), ("\uff21", "A"), ("\uff21\uff21", "BB"), ("\t", " "), ("\n", " "), ("\u200d", "")]


def train(folder, **options):
    rule_file = os.path.join(folder, "rules.tsv")
    with open(rule_file, "w", encoding="utf-8") as f:
        for a, b in rules:
            f.write(" ".join("%X" % ord(c) for c in a) + "\t" + " ".join("%X" % ord(c) for c in b) + "\n")
    prefix = os.path.join(folder, "m")
    sentencepiece.SentencePieceTrainer.train(
        input=os.path.join(here, "text.txt"), model_prefix=prefix, model_type="unigram", hard_vocab_limit=False,
        num_threads=1, minloglevel=2, normalization_rule_tsv=rule_file, **{"vocab_size": 180, **options})
    with open(prefix + ".model", "rb") as f:
        return f.read()


def as_json(model, pre, extra, added=()):
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model)
    t = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces], proto.trainer_spec.unk_id,
                                 proto.trainer_spec.byte_fallback))
    t.normalizer = N.Sequence([N.Precompiled(proto.normalizer_spec.precompiled_charsmap)] + extra)
    t.pre_tokenizer = pre
    t.decoder = D.Metaspace()
    t.add_special_tokens([p.piece for p in proto.pieces if p.type in (2, 3)])
    t.add_tokens(list(added))
    return t


with tempfile.TemporaryDirectory() as folder:
    made = {"plain": train(folder), "byte fallback": train(folder, byte_fallback=True, character_coverage=0.98, vocab_size=400),
            "as it is": train(folder, remove_extra_whitespaces=False, add_dummy_prefix=False,
                              user_defined_symbols=["foo bar"]),
            "over spaces": train(folder, split_by_whitespace=False)}
meta = P.Metaspace()
apart = P.Sequence([P.WhitespaceSplit(), meta])
one_space = N.Replace(Regex(" {2,}"), " ")
json_made = {
    "t5": as_json(made["plain"], meta, [N.Strip(left=False, right=True), N.Replace(Regex(" {2,}"), mark)]),
    "xlm-r": as_json(made["plain"], apart, [one_space], [AddedToken("<mask>", lstrip=True)]),
    "albert": as_json(made["plain"], apart, [N.Replace("''", '"'), N.NFKD(), N.StripAccents(), N.Lowercase(), one_space]),
    "byte fallback": as_json(made["byte fallback"], apart, [one_space], [AddedToken("ab", normalized=True)]),
}
out = {"texts": texts, "models": [], "tokenizers": []}
for name, model in made.items():
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    out["models"].append({"name": name, "model": base64.b64encode(model).decode(), "ids": [processor.encode(t) for t in texts]})
for name, t in json_made.items():
    out["tokenizers"].append({"name": name, "tokenizer": json.loads(t.to_str()),
                              "ids": [t.encode(x, add_special_tokens=False).ids for x in texts]})
with open(os.path.join(here, "unigram.json"), "w", encoding="ascii") as f:
    json.dump(out, f, separators=(",", ":"))
    f.write("\n")
