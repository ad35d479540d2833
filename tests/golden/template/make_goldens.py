"""Renders small templates with jinja2, set up as Hugging Face transformers does, into goldens.json.

    pip install jinja2 && python make_goldens.py
"""
import datetime
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

    # what is not
    "{{ missing is not defined }} {{ n is not defined }} {{ n is not none }} {{ none is not none }} {{ 3 is not odd }} {{ 'x' is not in words }}",
    "{{ missing is undefined }} {{ n is undefined }} {{ o.zz is undefined }} {{ not n is undefined }} {{ n is not undefined and n is not string }}",
    "{{ 2 is not divisibleby 2 }} {{ 3 is not divisibleby(2) }} {{ 'a' is not string }} {{ o is not mapping }}",
    # tests
    "{{ 1 is eq 1 }} {{ 1 is eq(2) }} {{ 1 is ne 1 }} {{ 1 is ne 2 }} {{ 1 is equalto 1.0 }} {{ n is number }} {{ none is eq none }}",
    "{{ 1 is lt 2 }} {{ 2 is lt 2 }} {{ 2 is le 2 }} {{ 3 is le 2 }} {{ 2 is gt 1 }} {{ 2 is gt 2 }} {{ 2 is ge 2 }} {{ 1 is ge 2 }} {{ 1 is lessthan 2 }} {{ 1 is greaterthan 2 }}",
    "{{ o is mapping }} {{ words is mapping }} {{ words is iterable }} {{ 'a' is iterable }} {{ 5 is iterable }} {{ o is iterable }} {{ none is iterable }}",
    "{{ 5 is integer }} {{ 5.0 is integer }} {{ true is integer }} {{ 5.0 is float }} {{ 5 is float }} {{ true is boolean }} {{ 0 is boolean }} {{ true is number }}",
    "{{ 4 is even }} {{ 5 is even }} {{ -4 is even }} {{ -3 is odd }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ true is true }} {{ 1 is true }} {{ false is false }}",
    "{{ range is callable }} {{ 'a'.upper is callable }} {{ n is callable }} {{ o is sequence }} {{ 3 is sequence }} {{ 'b' is in words }} {{ 2 is in(items) }}",
    # filters
    "{{ items | reject('odd') | list }} {{ items | reject('gt', 1) | list }} {{ [0, 1, none, ''] | select | list }} {{ [0, 1, none, ''] | reject | list }}",
    "{{ '<a>' | e }} {{ '<a href=\"x\">&\\'' | escape }} {{ ('<a>' | safe) ~ '<b>' }} {{ '<a>' | safe | e }} {{ 5 | e }} {{ ('<i>' | escape) + '<b>' }}",
    "{{ 5 | string + 'x' }} {{ none | string }} {{ [1, 'a'] | string }} {{ true | string | length }} {{ 1.0 | string }}",
    "{{ 'hELLO wORLD' | capitalize }} {{ '' | capitalize }} {{ 'éCOLE' | capitalize }} {{ 'a-b c' | title }} {{ \"it's (ok)\" | title }}",
    "{{ items | min }} {{ items | max }} {{ words | min }} {{ words | max }} {{ ['b', 'A'] | max }} {{ [] | max }} {{ [1, 1.5] | max }} {{ 'hello' | max }}",
    "{{ items | count }} {{ o | count }} {{ 'aé' | count }} {{ 2.5 | round }} {{ 3.5 | round }} {{ 2.4999 | round }} {{ -2.5 | round }} {{ 7 | round }} {{ true | round }}",
    "{{ 2.567 | round(2) }} {{ 2.567 | round(1, 'floor') }} {{ 2.51 | round(1, 'ceil') }} {{ 2.1 | round(method='ceil') }} {{ -2.1 | round(0, 'floor') }} {{ 1234.5 | round(-2) }} {{ 2.675 | round(2) }}",
    "{{ 42.55 | round(precision=1) | int }} {{ 1.5 | round(400) }} {{ 1e300 | round(10) }} {{ 7 | round(2, 'ceil') }} {{ 0.1 | round(30) }}",
    "{{ 1.5 | round(1, 'up') }}",
    "{{ 'aaa' | replace('a', 'b', 2) }} {{ 'aaa' | replace('', '-') }} {{ 5 | replace('5', '6') }} {{ 'abc' | replace('b', '') }} {{ 'a.b' | replace(old='.', new='!') }}",
    "{{ '12' | int }} {{ ' 12 ' | int }} {{ '1_000' | int }} {{ '-7' | int }} {{ '+7' | int }} {{ '0x10' | int }} {{ '0x10' | int(base=16) }} {{ '0x1F' | int(0, 16) }} {{ '101' | int(0, 2) }} {{ '0b11' | int(7, 2) }} {{ '0o17' | int(base=8) }} {{ 'zz' | int(base=36) }}",
    "{{ '9007199254740993' | int }} {{ '9223372036854775807' | int }} {{ '-9223372036854775808' | int }} {{ '3.9' | int }} {{ '-3.9' | int }} {{ '1e3' | int }} {{ 'inf' | int(4) }} {{ 'nan' | int }} {{ '' | int }} {{ none | int(3) }} {{ 3.99 | int }} {{ true | int }} {{ [] | int('x') }}",
    "{{ '1.5' | float }} {{ 'x' | float }} {{ 'x' | float(2.5) }} {{ ' 2 ' | float }} {{ '1_0.5' | float }} {{ 'inf' | float }} {{ '-Infinity' | float }} {{ 'nan' | float }} {{ '1e5' | float }} {{ '0x10' | float }} {{ none | float }} {{ true | float }} {{ '.5' | float }} {{ '5.' | float }} {{ '1__0' | float }} {{ '_1' | float }}",
    "{{ [1, 2] | sum(start=10) }} {{ [1.5, 2] | sum }} {{ [true, 2] | sum }} {{ messages | map(attribute='content') | map('length') | sum }} {{ [] | sum }} {{ [] | sum(start=2.5) }} {{ [{'a': 1}, {'a': 2}] | sum('a') }} {{ [{'a': 1}] | sum(attribute='a', start=true) }}",
    "{{ [1] | sum(start='a') }}", "{{ ['a'] | sum }}", "{{ 'ab' | round }}", "{{ missing | round }}", "{{ missing | abs }}", "{{ [] | sum(start='a') }}",
    "{{ items | select(none) | list }}", "{{ [] | select('" + "x" * 70 + "') | list }}", "{{ items | map('" + "x" * 70 + "') | list }}", "{{ items | map(none) | list }}",
    "{{ items | select(1) | list }}", "{{ items | map | list }}",
    # numbers in paths
    "{{ messages['0'] is defined }} {{ messages[0] is defined }} {{ 'abc'['1'] is defined }} {{ words['length'] is defined }}",
    "{{ [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 'ten']] | map(attribute='10') | list }} {{ [['a', 'b']] | map(attribute='1') | list }} {{ [{'1': 'x'}] | map(attribute='1') | list }} {{ [{1: 'y'}] | map(attribute='1') | list }}",
    "{{ messages | map(attribute='tool_calls.0.name', default='-') | list }} {{ [['b'], ['a']] | sort(attribute='0') }} {{ [[1, 2]] | map(attribute=1) | list }} {{ [[1, 2]] | map(attribute='-1', default='no') | list }}",
    "{{ messages | map(attribute='role.upper') | map('string') | list | length }}",
    # numbers
    "{{ 9007199254740993 == 9007199254740992 }} {{ 9007199254740993 == 9007199254740992.0 }} {{ 9007199254740992 == 9007199254740992.0 }} {{ 9007199254740993 > 9007199254740992 }} {{ 9223372036854775807 > 9223372036854775806 }} {{ 9223372036854775807 == 9223372036854775808.0 }} {{ 9223372036854775807 < 1e19 }} {{ 9007199254740993 > 9007199254740992.0 }}",
    "{{ true == 1 }} {{ true == 1.0 }} {{ 0.5 < 1 }} {{ -1 < -0.5 }} {{ {9007199254740993: 'a', 9007199254740992.0: 'b'} | length }} {{ {1: 'a', true: 'b', 1.0: 'c'} }}",
    "{{ range(9223372036854775800, 9223372036854775807, 5) | list }} {{ range(-9223372036854775807, -9223372036854775800, 9223372036854775807) | list }} {{ range(5, 0, -2) | list }} {{ range(0, 9223372036854775807, 9223372036854775807) | list }}",
    "{{ range(-9223372036854775807, 9223372036854775807, 9223372036854775807) | list }} {{ range(3, 3) | list }} {{ range(0) | list }} {{ range(true) | list }}",
    # methods
    "[{{ '  ab ' .rstrip() }}] [{{ '  ab '.lstrip() }}] [{{ 'xxabxx'.rstrip('x') }}] [{{ 'xyabyx'.lstrip('yx') }}] [{{ 'abc'.strip('ac') }}] [{{ 'é é'.strip('é') }}]",
    "{{ 'abc'.endswith('bc') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abc'.endswith('') }} {{ 'abc'.startswith(('b', 'a')) }} {{ 'abc'.endswith('abcd') }}",
    "{{ 'héllo l'.find('l') }} {{ 'héllo l'.rfind('l') }} {{ 'abc'.find('x') }} {{ 'abc'.rfind('x') }} {{ 'aXbX'.index('X') }} {{ 'abc'.find('') }} {{ 'abc'.rfind('') }}",
    "{{ 'a,b,c'.rsplit(',', 1) }} {{ 'a,b,c'.split(',', 1) }} {{ ' a  b c '.rsplit() }} {{ ' a  b c '.rsplit(none, 1) }} {{ ' a  b c '.split(none, 1) }} {{ 'a--b'.split('-') }} {{ 'a,b,c'.rsplit(',') }} {{ 'abc'.rsplit('x') }} {{ ''.split(',') }} {{ ''.split() }}",
    "{{ 'a\nb\r\nc\n'.splitlines() }} {{ 'a\x0bb'.splitlines() }} {{ ''.splitlines() }} {{ '\n'.splitlines() }} {{ 'a\nb'.splitlines(true) }} {{ '\r\n\r'.splitlines(keepends=true) }}",
    "{{ o.values() | list }} {{ o.values() }} {{ 'banana'.count('an') }} {{ 'aaaa'.count('aa') }} {{ 'abc'.count('x') }} {{ [1, 2, 1, true].count(1) }} {{ [1, 2].index(2) }} {{ 'éa'.count('') }} {{ ''.count('') }}",
    "{{ 'ab'.upper() }} {{ 'AB'.lower() }} {{ \"they're bill's\".title() }} {{ 'aB c'.capitalize() }} {{ '-'.join(['a', 'b']) }} {{ 'aXbXc'.replace('X', '-', 1) }}",
    "{{ [1].index(5) }}", "{{ 'abc'.index('x') }}", "{{ ''.split('') }}",
    "{% for x in items %}{{ loop.cycle('a', 'b') }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.depth }} {% endfor %}",
    "{{ strftime_now('%Y-%m-%d %H:%M:%S %j %d %b %B %A %y %%') }}",
    # macros
    "{% macro f(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1) }} {{ f(1, 3, 4, 5) }} {{ f(1, x=2, y='z') }} {{ f(b=1, a=2, c=3) }} {{ f() }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, zz=2) }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, a=2) }}",
    "{% macro f(a) %}{{ kwargs }}{{ a }}{% endmacro %}{{ f(1, a=2) }}", "{% macro f(a) %}{{ varargs }}{{ a }}{% endmacro %}{{ f(1, zz=2) }}",
    "{% macro f() %}{{ kwargs.a if kwargs.a is defined else 'no' }}{{ varargs | length }}{% endmacro %}{{ f() }}{{ f(a=1) }}{{ f(1, 2) }}",
    # joins of nothing, and others
    "{{ [] | join }}{{ ['a'] | join }}{{ 'abc' | join('-') }}", "{{ none | list }}", "{{ [1, [2, 3]] | tojson(indent=1) }} {{ {'b': 1, 'a': 2} | tojson(sort_keys=true, separators=(',', ':')) }} {{ 'é' | tojson(true) }}",
    "{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent(1, blank=true) }}|{{ 'a\nb' | indent('> ') }}|{{ '' | indent(2, true) }}",
    "a\n{% raw %}\n  {% endraw %}b", "{% raw -%}\n  x  {%- endraw %}|", "a {%- raw -%} \n {% endraw -%} b", "a\n  {% raw -%}\n\n  {% if %}\n  {% endraw %}\n c",
    # work in proportion to the text
    "{{ (('x' * 50 ~ '\n') * 20000).count('\n') }} {{ (('x' * 50 ~ '\n') * 20000).rsplit('\n') | length }} {{ (('x' * 50 ~ '\n') * 20000).split('\n') | length }}",
    "{{ [[1], [2, 3]] | sum(start=[]) }} {{ [{'a': 2, 'b': 'B'}, {'a': 1, 'b': 'c'}, {'a': 1, 'b': 'A'}] | sort(attribute='a,b') }} {{ {'é': 1} | tojson(true, 1) }}",
    "{% set nan = missing | default('nan') | float %}{{ nan == nan }} {{ nan < 1 }} {{ nan <= 1 }} {{ nan > 1 }} {{ nan >= 1 }} {{ 1 <= nan }} {{ nan is le 1 }} {{ nan != nan }} {{ nan in [1] }}",
    "{{ (n * 1e308 * 100) | int }}", "{{ 1250 | round(-2) }} {{ 1350 | round(-2) }} {{ -1251 | round(-2) }} {{ 51 | round(-2) }} {{ 50 | round(-2) }} {{ 7 | round(-40) }}",
    "{{ 50.0 | round(-2) }} {{ 51.0 | round(-2) }} {{ -51.0 | round(-2) }} {{ 1250.0 | round(-2) }} {{ 4.0 | round(-2) }} {{ 0.0 | round(-1) }} {{ 999.9 | round(-3) }} {{ 99.5 | round(0) }} {{ 0.5 | round }} {{ 1e22 | round(-22) }}",
    "{{ o.keys() }} {{ o.items() }} {{ '010' | int }} {{ '010' | int(9, 0) }} {{ '0_0' | int(9, 0) }} {{ '0x_f' | int(9, 16) }} {{ '0x' | int(9, 16) }} {{ '1_' | int(9) }} {{ '--1' | int(9) }} {{ '- 1' | int(9) }} {{ '5' | int(9, 1) }} {{ '12' | int(9, 2) }}",
]


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    env.filters["tojson"] = lambda x, ensure_ascii=False, indent=None, separators=None, sort_keys=False: json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    return env


def render(source):
    """None: jinja2 refuses it."""
    try:
        return env.from_string(source).render(**base, strftime_now=now.strftime)
    except Exception as error:
        print(f"refused: {source}: {error}")
        return None


now = datetime.datetime.fromtimestamp(1700000000, datetime.timezone.utc)
env = environment()
cases = [{"template": t, "expected": render(t)} for t in templates]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "goldens.json"), "w") as f:
    json.dump({"variables": base, "cases": cases}, f, indent=1, ensure_ascii=False)
    f.write("\n")
