"""Makes the golden files of the tokenizer with Hugging Face's `tokenizers` (0.23.3):

    python3 tests/golden/tokenizer/make_goldens.py

pretokenize.json  hostile strings and the words each pattern cuts them into (lengths in bytes)
PATTERN.json      a tokenizer trained on text.txt, as `tokenizers` writes it
PATTERN_ids.json  the ids that it gives the same strings, special tokens in them recognised
"""
import json
import os
import random
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|%s\s+(?!\S)|\s%s"
PATTERNS = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": WORDS % (r"\p{N}{1,3}", r"\s+\z|\s*[\r\n]|", ""),
    "llama3": WORDS % (r"\p{N}{1,3}", r"\s*[\r\n]+|", "+"),
    "qwen2": WORDS % (r"\p{N}", r"\s*[\r\n]+|", "+"),
}
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

BY_HAND = [
    "", " ", "  ", "\n", "a", " a", "  a", "\ta", "a ", "a  ", "a\n", "a \n", "a\n ", "a \n  ", "a \n \n  b", "today\n \n",
    "x  y\n\n  z", "\r\n", "\r\n\r\nx", "a\r\n b", "\n\n\n", " \n ", "\n a", "\u3000x", "\u00a0\u00a0x", "a\u2028b", "\x85x",
    " \x850", "\x0b\x0c", "\x1c\x1d", "\x00", "a\x00b", "\x7f", "\ufeffa", "\u200bx", "it's IT'S it\u2019s", "'s", "'S", "'sabc",
    "'ll'LL'Ll", "'re've'RE'vE", "'l", "'v e", "'", "''s", "'\u017fabc", "can't've", " 's", "x's't'm'd", "'x", "'1", "' a",
    "don't", "1", "12", "123", "1234", "1234567", " 1234567", "1a2b", "\u0661\u0662\u0663\u0664", "\u00b2\u00b3\u00b9\u00bd",
    "\u2167\u2168", "a1", "1.5e-7", "3,141", "!", "!!", " !", " !!a", "!a", "!!a", "!\n", "!\r\n\n", "! \n", "/*\n*/", "#include",
    "a.b", "a_b", "_a", "__init__", "$x", "=>", "e\u0301", "\u0301", " \u0301", "a\u0301b", "\u0e01\u0e33\u0e31", "\u4e2d\u6587",
    "\u4e2d\u6587 \u4e2d\u6587", "\u3042\u30a2\u30fc", "\ud55c\uae00", "\u1100\u1161", "\u0645\u0631\u062d\u0628\u0627",
    "\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd", "\u0928\u092e\u0938\u094d\u0924\u0947", "\U0001f600", "\U0001f468\u200d\U0001f469",
    "a\U0001f600b", " \U0001f600", "\U0001f1e9\U0001f1ea", "\ufe0f", "\u02b0\u01c5\u00aa", "\U00020000\U0001d400", "\U0010ffff",
    "\ue000x", "\u00e9t\u00e9", "STRASSE stra\u00dfe", "\u0130i\u0131", "<|endoftext|>", "<|im_end|>", "a<|im_start|>b",
    "<|im_end", "|>", "<|<|im_end|>|>", "<|endoftext|><|endoftext|>", "def f(x):\n\treturn x**2\r\n", "    if a:\n        b\n",
    "http://example.org/a?b=c&d=%20", "a" * 200, " " * 50 + "x", "\n" * 20 + "x", "ab" * 100, "1" * 50, "!" * 50,
    "\u00e9" * 60, "looking" * 40, " singing" * 9 + "singingkeeping" * 12, "\t\t\t", " \t\n\r x", "\n\n \n\n", "x \r", "x\r y", " \u00a0\n\u00a0 a",
]
POOL = ["'s", "'S", "'ll", "'", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "1", "12", "a", "Ab", "the", "!", "...",
        "\u0301", "\u4e2d", "\u00e9", "\U0001f600", "\u0660", "\x00", "<|", "|>", "_", "\u2028", "\u02b0", "\u05d0"]


def strings():
    pick = random.Random(4)
    assigned = [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cs", "Cn")]
    mixed = ["".join(pick.choice(POOL) for _ in range(pick.randint(2, 16))) for _ in range(100)]
    any_character = ["".join(chr(pick.choice(assigned)) for _ in range(8)) for _ in range(60)]
    return BY_HAND + mixed + any_character


def write(name, value):
    with open(os.path.join(HERE, name), "w", encoding="ascii") as f:
        json.dump(value, f, separators=(",", ":"))
        f.write("\n")


def cut(pattern, text):
    words = pre_tokenizers.Split(Regex(pattern), "isolated").pre_tokenize_str(text)
    assert "".join(word for word, _ in words) == text
    return [len(word.encode()) for word, _ in words]


def pre_tokenizer(name):
    if name == "gpt2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PATTERNS[name]), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def train(name, vocab_size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer(name)
    tokenizer.decoder = decoders.ByteLevel()
    with open(os.path.join(HERE, "text.txt"), encoding="utf-8", newline="") as f:
        text = f.read()
    tokenizer.train_from_iterator([text], trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIALS), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.add_special_tokens([AddedToken(s, normalized=False) for s in SPECIALS])
    return tokenizer


def main():
    texts = strings()
    write("pretokenize.json", {"texts": texts, **{n: [cut(p, t) for t in texts] for n, p in PATTERNS.items()}})
    for name, vocab_size in (("gpt2", 600), ("qwen2", 4000)):  # 4000: more than the text gives
        tokenizer = train(name, vocab_size)
        tokenizer.save(os.path.join(HERE, name + ".json"), pretty=False)
        write(name + "_ids.json", [tokenizer.encode(t, add_special_tokens=False).ids for t in texts])


main()
