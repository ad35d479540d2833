"""sections.json: small tokenizers of every kind that Hugging Face's `tokenizers` makes, and the ids it gives.

    python make_sections.py          (tokenizers 0.23)
"""
import json
import os
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models, normalizers as N, pre_tokenizers as P, trainers

here = os.path.dirname(os.path.abspath(__file__))
text = open(os.path.join(here, "text.txt"), encoding="utf-8").read()
texts = json.load(open(os.path.join(here, "pretokenize.json"), encoding="utf-8"))["texts"]
# characters that are younger than a library have other classes there
texts = [t for t in texts if len(t) < 200 and all(unicodedata.category(c) != "Cn" for c in t)][::3] + [
    "hello World, othello worlds! <s>it's</s>  123 12345 \u0663", "\u2581a \u2581\u2581b", " leading", "\n\nlines \n\n",
    "e\u0301 \ufb01 \u212b \uff21\u30ab\uff9e", "a" * 40, "don't (stop)--now...", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\x00\x01"]
mark = "\u2581"
space_decoder = D.Sequence([D.Replace(mark, " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
cut, plain = P.ByteLevel(add_prefix_space=False), P.ByteLevel(add_prefix_space=False, use_regex=False)


def byte_level(pre, normalizer=None, added=()):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pre, D.ByteLevel()
    if normalizer:
        t.normalizer = normalizer
    t.train_from_iterator([text], trainers.BpeTrainer(vocab_size=330, initial_alphabet=P.ByteLevel.alphabet(),
                                                      special_tokens=["<s>", "</s>"], show_progress=False))
    t.add_tokens(list(added))
    return t


def spaces(pre=None, normalizer=None, byte_fallback=True, fuse=True, decoder=space_decoder, added=()):
    options = dict(unk_token="<unk>", byte_fallback=byte_fallback, fuse_unk=fuse)
    trained = Tokenizer(models.BPE(**options))
    trained.pre_tokenizer = P.Metaspace()
    special = ["<unk>", "<s>"] + ([f"<0x{i:02X}>" for i in range(256)] if byte_fallback else [])
    trained.train_from_iterator([text], trainers.BpeTrainer(vocab_size=len(special) + 150, limit_alphabet=60,
                                                            special_tokens=special, show_progress=False))
    t = Tokenizer(models.BPE(**options))
    if pre:
        t.pre_tokenizer = pre
    if normalizer:
        t.normalizer = normalizer
    t.decoder = decoder
    whole, model = json.loads(t.to_str()), json.loads(trained.to_str())
    whole["model"], whole["added_tokens"] = model["model"], model["added_tokens"][:2]
    t = Tokenizer.from_str(json.dumps(whole))
    t.add_tokens(list(added))
    return t


legacy = N.Sequence([N.Prepend(mark), N.Replace(" ", mark)])
made = {
    "prefix space": byte_level(P.ByteLevel(add_prefix_space=True)),
    "digits one by one": byte_level(P.Sequence([P.Digits(individual_digits=True), cut])),
    "steps behind ByteLevel": byte_level(P.Sequence([P.Punctuation("contiguous"), cut, P.Digits(individual_digits=False),
                                                     P.Split(Regex("[0-9][0-9][0-9]"), "isolated")])),
    "merged with previous and next": byte_level(P.Sequence([P.Split("e", "merged_with_previous"),
                                                            P.Split(" ", "merged_with_next"), plain])),
    "a regular expression": byte_level(P.Sequence([P.Split(Regex(r"\w+|[^\w\s]+"), "removed", invert=True), plain])),
    "Whitespace": byte_level(P.Sequence([P.Whitespace(), plain])),
    "NFKC": byte_level(cut, N.NFKC()),
    "lower case without accents": byte_level(cut, N.Sequence([N.NFD(), N.StripAccents(), N.Lowercase(), N.Strip()])),
    "Replace and Prepend": byte_level(cut, N.Sequence([N.Replace(Regex(r"\s{2,}"), " "), N.Replace("a", "bb"), N.Prepend(">")])),
    "rules of added tokens": byte_level(cut, added=[
        AddedToken("hello", single_word=True, normalized=False), AddedToken("World", lstrip=True, normalized=False),
        AddedToken("it's", rstrip=True, normalized=False), AddedToken("123", normalized=True)]),
    "added tokens in normalised text": byte_level(cut, N.Lowercase(), [
        AddedToken("Hello", normalized=True), AddedToken("WORLD", normalized=False)]),
    "Llama 2": spaces(normalizer=legacy),
    "without byte fallback": spaces(normalizer=legacy, byte_fallback=False),
    "unknown one by one": spaces(normalizer=legacy, byte_fallback=False, fuse=False),
    "Gemma": spaces(P.Split(" ", "merged_with_previous"), N.Replace(" ", mark), added=[AddedToken("\n\n", normalized=False)]),
    "Metaspace first": spaces(P.Metaspace(prepend_scheme="first", split=False),
                              decoder=D.Metaspace(prepend_scheme="first", split=False), added=[AddedToken("hello", normalized=False)]),
    "Metaspace always": spaces(P.Metaspace(prepend_scheme="always", split=True), decoder=D.Metaspace()),
}
rows = []
for name, t in made.items():
    t.encode_special_tokens = False
    rows.append({"name": name, "tokenizer": json.loads(t.to_str()),
                 "ids": [e.ids for e in t.encode_batch(texts, add_special_tokens=False)]})
with open(os.path.join(here, "sections.json"), "w", encoding="utf-8") as f:
    json.dump({"texts": texts, "tokenizers": rows}, f, ensure_ascii=True, separators=(",", ":"))
