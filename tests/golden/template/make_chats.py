"""chats.json: chats as tokens by Hugging Face's `tokenizers`, and which of them begin inside {% generation %}.

    python make_chats.py          (tokenizers 0.23, jinja2 3.1, transformers 5)

The tokenizers are those of ../tokenizer/*.json with the added tokens given here."""
import json
import os

from tokenizers import AddedToken, Tokenizer
from transformers.utils.chat_template_utils import render_jinja_template

here = os.path.dirname(os.path.abspath(__file__))
golden = os.path.join(here, "..", "tokenizer")
turns = ["<|user|>", "<|assistant|>", "<|end|>", "</s>"]
chatml = ("{% for m in messages %}{{ '<|' + m.role + '|>\n' }}{% if m.role == 'assistant' %}{% generation %}"
          "{{ m.content + '<|end|>' }}{% endgeneration %}{% else %}{{ m.content + '<|end|>' }}{% endif %}{{ '\n' }}{% endfor %}")
instruct = ("<s>{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ ' ' + m.content + '</s>' }}"
            "{% endgeneration %}{% else %}{{ '[INST] ' + m.content + ' [/INST]' }}{% endif %}{% endfor %}")
plain = ("{% for m in messages %}{% if m.role == 'assistant' %}{{ 'Assistant:' }}{% generation %}{{ ' ' + m.content + '\n' }}"
         "{% endgeneration %}{% else %}{{ 'User: ' + m.content + '\n' }}{% endif %}{% endfor %}")
simple = [["user", "hello there"], ["assistant", "the worlds are hot"], ["user", "  and  now? "], ["assistant", "no"]]
changed = [["user", "e\u0301 is \u0416\u4e2d an UPPER e\u0301"], ["assistant", "\u4e2d e\u0301 \u0416 ok \u4e2d"],
           ["user", "\u2581 \u4e2d"], ["assistant", "A e\u0301"]]
sections, unigram, wordpiece = "sections.json", "unigram.json", "wordpiece.json"
cases = [(file, name, options, template, messages) for file, name, options, template in [
    (sections, "rules of added tokens", {}, chatml),
    (sections, "rules of added tokens", {"rstrip": True}, chatml),
    (sections, "rules of added tokens", {"lstrip": True}, chatml),
    (sections, "rules of added tokens", {"single_word": True}, chatml),
    (sections, "rules of added tokens", {"normalized": True}, chatml),
    (sections, "prefix space", {}, chatml),
    (sections, "NFKC", {}, chatml),
    (sections, "NFKC", {"normalized": True}, instruct),
    (sections, "NFKC", {}, plain),
    (sections, "added tokens in normalised text", {"normalized": True}, chatml),
    (sections, "Llama 2", {}, chatml),
    (sections, "Llama 2", {}, instruct),
    (sections, "Llama 2", {"rstrip": True}, chatml),
    (sections, "Llama 2", {"normalized": True}, instruct),
    (sections, "without byte fallback", {}, chatml),
    (sections, "without byte fallback", {}, instruct),
    (sections, "unknown one by one", {}, plain),
    (sections, "Gemma", {}, chatml),
    (sections, "Metaspace first", {}, chatml),
    (sections, "Metaspace first", {}, instruct),
    (sections, "Metaspace always", {}, instruct),
    (unigram, "t5", {}, chatml),
    (unigram, "albert", {}, instruct),
    (unigram, "byte fallback", {}, plain),
    (wordpiece, "uncased", {}, chatml),
    (wordpiece, "cased", {}, plain),
] for messages in (simple, changed)]


def open_tokenizer(file, name, options):
    rows = json.load(open(os.path.join(golden, file), encoding="utf-8"))["tokenizers"]
    t = Tokenizer.from_str(json.dumps(next(r["tokenizer"] for r in rows if r["name"] == name)))
    t.add_special_tokens([AddedToken(x, **{"normalized": False, **options}) for x in turns])
    return t


rows = []
for file, name, options, template, messages in cases:
    t = open_tokenizer(file, name, options)
    chat = [{"role": role, "content": content} for role, content in messages]
    rendered, spans = render_jinja_template([chat], chat_template=template, return_assistant_tokens_mask=True)
    e = t.encode(rendered[0], add_special_tokens=False)
    learn = [int(any(a <= begin < b for a, b in spans[0])) for begin, _ in e.offsets]
    rows.append({"file": file, "name": name, "added_tokens": json.loads(t.to_str())["added_tokens"], "template": template,
                 "messages": chat, "ids": e.ids, "learn": learn})
with open(os.path.join(here, "chats.json"), "w", encoding="utf-8") as f:
    json.dump(rows, f, ensure_ascii=True, separators=(",", ":"))
    f.write("\n")
