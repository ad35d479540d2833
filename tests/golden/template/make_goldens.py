"""Renders small templates with jinja2, set up as Hugging Face transformers does, into goldens.json.

    pip install jinja2 && python make_goldens.py
"""
import json
import os

from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

messages = [
    {"role": "system", "content": " Be kind. "},
    {"role": "user", "content": "Hi <b> & \"you\" é"},
    {"role": "assistant", "content": "Hello\n\nthere", "tool_calls": [{"name": "f", "arguments": {"x": 1, "y": [1.5, None, True]}}]},
    {"role": "user", "content": ""},
]
base = {"messages": messages, "add_generation_prompt": True, "bos_token": "<s>", "n": 7, "items": [3, 1, 2], "empty": [],
        "words": ["b", "A", "c"], "o": {"b": 2, "a": 1}, "none": None}
templates = [
    "{% for m in messages %}[{{ m.role }}|{{ m['content'] }}]{% endfor %}",
    "{%- for m in messages -%}\n  {{ loop.index0 }}/{{ loop.index }}/{{ loop.length }} {{ loop.first }} {{ loop.last }}\n{%- endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ loop.index }}:{{ m.content | length }} {% else %}none{% endfor %}",
    "{% for x in empty %}x{% else %}nothing{% endfor %}",
    "{% set ns = namespace(n=0, last='') %}{% for x in items %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}",
    "{% set x = 1 %}{% for i in items %}{% set x = i %}{% endfor %}{{ x }}",
    "{% macro f(a, b='z', c=none) %}<{{ a }},{{ b }},{{ c }}>{% endmacro %}{{ f(1) }}{{ f(1, c=2) }}{{ f(1, 'q') }}",
    "{% if n > 5 and not empty %}big{% elif n %}small{% else %}zero{% endif %}",
    "{{ 'yes' if none is none else 'no' }} {{ missing is defined }} {{ missing }} {{ n is number }} {{ words is sequence }}",
    "{{ messages[0].content | trim }}|{{ messages[-1]['content'] }}|{{ messages[1:3] | length }}|{{ items[::-1] }}",
    "{{ messages[2] | tojson }}",
    "{{ messages[2].tool_calls | tojson(indent=2) }}",
    "{{ o }} {{ o.items() | list }} {{ o | dictsort }} {{ o.keys() | list }} {{ o.get('z', 9) }}",
    "{{ items | sort | join(', ') }} {{ words | sort | join }} {{ items | first }} {{ items | last }} {{ words | map('upper') | list }}",
    "{{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | map(attribute='role') | join(',') }}",
    "{{ messages | rejectattr('role', 'in', ['user', 'system']) | list | length }} {{ items | select('odd') | list }}",
    "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 1.0 }} {{ 1e20 }}",
    "{{ 'a' ~ 1 ~ none ~ true }} {{ 'ab' * 3 }} {{ 'a' in 'cat' }} {{ 'x' not in words }} {{ 1 < 2 < 3 }}",
    "{{ 'a,b,,c'.split(',') }} {{ ' x y '.strip() }}| {{ 'abc'.startswith('ab') }} {{ 'a-b'.replace('-', '+') }} {{ 'hello world'.title() }}",
    "{{ 'x\\ny' | indent(2) }}|{{ 'x\\n\\ny' | indent(2, true) }}",
    "{% set text %}in{{ n }}side{% endset %}<{{ text | upper }}>",
    "{% filter upper %}loud {{ n }}{% endfilter %}",
    "{% raw %}{{ not }} {% this %}{% endraw %}{# a comment #}!",
    "a\n    {% if true %}\n  b\n    {% endif %}\nc\n",
    "a  {{- 1 -}}  b  {%- if true %} c {% endif -%}  d",
    "{% for x in range(10) %}{% if x == 3 %}{% continue %}{% endif %}{% if x == 6 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for k, v in o.items() %}{{ k }}={{ v }};{% endfor %}{% set a, b = [1, 2] %}{{ a }}{{ b }}",
    "{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined }}>{{ loop.nextitem.role if not loop.last }} {% endfor %}",
    "{{ missing | default('d') }} {{ '' | default('e', true) }} {{ '3' | int + 1 }} {{ 'x' | int }} {{ '2.5' | float }} {{ -3 | abs }}",
    "{{ ['a', 'B', 'a'] | unique | list }} {{ [1, 2, 3] | sum }} {{ {'k': [1, {'z': none}]} }} {{ (1, 'two') }} {{ [] }} {{ {} }}",
    "{{ \"tab\\t nl\\n quote' \" }}{{ 'é日本' | length }} {{ 'é日本'[1] }} {{ 'ÀÉ' | lower }}",
    "{{ dict(a=1, b='x') }} {{ 'abc' | reverse }} {{ [1, 2] + [3] }} {{ 'a' 'b' }} {{ true and 'x' or 'y' }}",
]


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    env.filters["tojson"] = lambda x, ensure_ascii=False, indent=None, separators=None, sort_keys=False: json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    return env


env = environment()
cases = [{"template": t, "expected": env.from_string(t).render(**base)} for t in templates]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "goldens.json"), "w") as f:
    json.dump({"variables": base, "cases": cases}, f, indent=1, ensure_ascii=False)
    f.write("\n")
