"""Every construct that chat templates use, with what Jinja2 makes of it. Writes constructs.json beside this file.

    pip install jinja2==3.1.6
    python Tests/ChatTemplatesTests/Fixtures/make_constructs.py
"""
import json
import pathlib
import warnings

from jinja_reference import case

warnings.filterwarnings("ignore")

DATA = {
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "안녕 \"세상\" 😀\n둘째 줄"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "add", "arguments": {"b": 2, "a": 1.0, "c": [True, None]}}}
        ]},
        {"role": "tool", "content": "3", "tool_call_id": "1"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nThree."},
    ],
    "tools": [{"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "items": {}}}}],
    "add_generation_prompt": True,
    "bos_token": "<s>",
    "text": "  Hello, Wörld\t\n",
    "words": ["b", "A", "c", "a", "B"],
    "numbers": [3, -1, 2.5, 0],
    "empty": [],
    "nothing": None,
    "rows": [{"id": 2, "name": "x", "on": True}, {"id": 1, "name": "Y"}, {"id": 3, "name": "y", "on": False}],
}

GROUPS = {
    "text and white space": [
        "", "\n", "\n\n", "a\n", "a\r\nb\rc\n", "{{ 1 }}\n", "  {{ 1 }}  \n  x", "a {# comment #} b", "a\n  {# comment #}\nb",
        "a\n  {#- comment -#}\n  b", "  {% if true %}\n  x\n  {% endif %}\n  y", "  {%+ if true %}\n  x\n  {%+ endif +%}\n  y",
        "a \n {%- if true -%} \n b \n {%- endif -%} \n c", "a  {{- 1 -}}  b", "a {% if true %} b {% endif %} c",
        "{% if true +%}\nx{% endif %}", "\t{% set x = 1 %}\t\n\t{{ x }}", "{% raw %}{{ x }} {% if %}{% endraw %}!",
        "a\n  {% raw -%}  \n {{ x }}\n  {%- endraw %}\nb", "{# {{ x }} #}y", "{{ '{{' }}{{ \"%}\" }}", "{%if true%}x{%endif%}",
        "{% if true %}\u00a0\u2003\n{%- endif %}|", "{{ {'a': {'b': 1}} }}", "{{{'a': 1}}}", "{{ {'a': 1}['a']}}",
    ],
    "literals": [
        "{{ 0 }} {{ 42 }} {{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 00 }}", "{{ 1.5 }} {{ 1e3 }} {{ 2.0 }} {{ 1.5e-7 }} {{ 1_0.0_1 }}",
        "{{ true }} {{ True }} {{ false }} {{ False }} {{ none }} {{ None }}", "{{ 'a' \"b\" 'c' }}",
        r"""{{ 'line\nbreak\ttab \\ \' \" \x41 \u00e9 \U0001F600 \101 \d' }}""", r"{{ '\é' }}", "{{ 'two\nlines' }}", "{{ 'a\\\nb' }}",
        "{{ [] }} {{ [1, 'two', 3.0, none, true,] }} {{ () }} {{ (1,) }} {{ (1, 2) }} {{ {} }} {{ {'a': 1, 2: 'b', none: 3,} }}",
        "{{ 1, 2 }}", "{{ [[], {}, ()] }}", "{{ 1e16 }} {{ 1e15 }} {{ 123456789.125 }} {{ 0.0001 }} {{ 0.00001 }} {{ 1e22 }} {{ 1e-5 }} {{ -0.0 }} {{ 5e-324 }} {{ 1.7976931348623157e308 }}",
        "{{ ['it\\'s', 'say \"hi\"', 'both \\' \"', 'back\\\\slash', '\\n\\t\\r\\x00\\x7f', 'é한😀', '\\u200b\\ue000\\xad'] }}",
        "{{ '\\xzz' }}", "{{ 'open }}", "{{ 012 }}", "{{ 1_ }}", "{{ 1.e5 }}", "{{ 'x\u0301' == '\u0078\u0301' }} {{ 'é' == 'e\u0301' }}",
    ],
    "arithmetic": [
        "{{ 7 + 2 }} {{ 7 - 2 }} {{ 7 * 2 }} {{ 7 / 2 }} {{ 7 // 2 }} {{ 7 % 2 }} {{ 7 ** 2 }}", "{{ -7 // 2 }} {{ -7 % 2 }} {{ 7 % -2 }} {{ 7 // -2 }} {{ -7 % -2 }}",
        "{{ 6 / 2 }} {{ 1 / 3 }} {{ 2 ** -1 }} {{ 2 ** 0.5 }} {{ 2 ** 3 ** 2 }}", "{{ -7.5 // 2 }} {{ -7.5 % 2 }} {{ 7.5 % -2 }} {{ 0.0 / 5 }} {{ -4.0 % 2 }}",
        "{{ 1 + 2 * 3 - 4 / 2 }} {{ (1 + 2) * 3 }} {{ -2 ** 2 }} {{ - -3 }} {{ +true }} {{ -true }}", "{{ true + 1 }} {{ true * 'ab' }} {{ 3 * 'ab' }} {{ 'ab' * 0 }} {{ [1] * 2 }} {{ (1,) * 2 }} {{ 'ab' * -1 }}",
        "{{ [1] + [2] }} {{ (1,) + (2,) }} {{ 'a' + 'b' }}", "{{ 1 + 'a' }}", "{{ 'a' + 1 }}", "{{ [1] + (2,) }}", "{{ 1 / 0 }}", "{{ 1 % 0 }}", "{{ 1.0 // 0 }}", "{{ none + 1 }}", "{{ missing + 1 }}", "{{ 1 + missing }}",
        "{{ 1 ~ 2 ~ 'x' ~ none ~ true ~ 1.0 ~ missing ~ [1] }}", "{{ 1 + 2 ~ 3 }} {{ 1 ~ 2 * 3 }}", "{{ -'a' }}", "{{ 9223372036854775807 }} {{ -9223372036854775807 - 1 }}",
        "{{ '%s is %d and %.2f%%' % ('x', 3.9, 2.345) }}", "{{ '%5s|%-5s|%05d|%+d|% d|%x|%X|%o|%e|%g|%r|%c' % ('a', 'b', 42, 5, 5, 255, 255, 8, 12345.678, 0.0001, 'q', 'z') }}", "{{ '%(a)s %(b)d' % {'a': 1, 'b': 2} }}",
        "{{ '%s' % [1, 2] }} {{ '%s' % {'a': 1} }}", "{{ '%s %s' % 'a' }}", "{{ '%s' % ('a', 'b') }}", "{{ '%d' % 'a' }}", "{{ 'x' % 1 }}", "{{ '%s' % missing }}",
    ],
    "comparisons and logic": [
        "{{ 1 < 2 }} {{ 1 <= 1 }} {{ 2 > 1 }} {{ 1 >= 2 }} {{ 1 == 1.0 }} {{ 1 != '1' }} {{ true == 1 }} {{ none == none }}", "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 3 > 2 == true }} {{ 1 == 1 == 1 }}", "{{ 'a' < 'b' }} {{ 'Z' < 'a' }} {{ '한' > 'z' }} {{ '\U0001F600' > '\uffff' }} {{ [1, 2] < [1, 3] }} {{ (1,) < (1, 0) }}",
        "{{ 1 < 'a' }}", "{{ none < 1 }}", "{{ missing < 1 }}", "{{ [1] == (1,) }} {{ [1, [2]] == [1.0, [2]] }} {{ {'a': 1} == {'a': 1.0} }} {{ {} == [] }}",
        "{{ 1 in [1, 2] }} {{ 'a' in 'cat' }} {{ '' in 'x' }} {{ 'role' in messages[0] }} {{ 3 not in [1] }} {{ not 1 in [1] }} {{ 1 in missing }} {{ 'k' in {'k': 1}.keys() }} {{ 2 in range(3) }}", "{{ 1 in 'a' }}", "{{ 1 in 5 }}", "{{ missing in 'x' }}",
        "{{ true and 'x' }} {{ '' or 'y' }} {{ 0 and 1 }} {{ 1 or missing.x }} {{ [] or {} or none }} {{ not '' }} {{ not not 5 }} {{ not 1 == 2 }}", "{{ 'a' if true else 'b' }} {{ 'a' if false else 'b' }} {{ 'a' if false }}| {{ 1 if 0 else 2 if 0 else 3 }}", "{{ ('a' if false) is defined }}", "{{ ('a' if false).x }}",
        "{% for v in [0, 1, '', 'a', [], [0], {}, {'a': 0}, none, true, 0.0, range(0), range(1), (), namespace(), missing] %}{{ 'T' if v else 'F' }}{% endfor %}", "{{ 1 if [] | select else 2 }}", "{{ 1 if {}.items() else 2 }}",
    ],
    "attributes and slices": [
        "{{ messages[0].role }} {{ messages[0]['role'] }} {{ messages[-1].role }} {{ messages.0.role }} {{ messages[2].tool_calls[0].function.arguments.c[0] }}", "{{ missing }}|{{ messages[0].zz }}|{{ messages[99] }}|{{ messages['a'] }}|{{ nothing.x }}|{{ 'abc'[5] }}",
        "{{ missing.x }}", "{{ missing['x'] }}", "{{ messages[0].zz.y }}", "{{ messages[0].zz.y.z }}", "{{ 'abc'[0] }}{{ 'abc'[-1] }} {{ '한글😀'[2] }} {{ (1, 2)[1] }} {{ range(5)[2] }} {{ [1, 2][true] }}",
        "{{ words[1:] }} {{ words[:2] }} {{ words[::-1] }} {{ words[-2:] }} {{ words[1:4:2] }} {{ words[4:1:-1] }} {{ words[:] }} {{ words[10:] }} {{ words[::2] }}", "{{ 'Hello'[1:3] }} {{ 'Hello'[::-1] }} {{ 'Hello'[-3:] }} {{ '한글😀!'[1:3] }} {{ (1, 2, 3)[1:] }} {{ range(10)[2:8:3] }} {{ range(10)[::-1] }}",
        "{{ words[::0] }}", "{{ words['a':] }}", "{{ nothing[1:] }}", "{{ missing[1:] }}", "{{ words[none:2] }}", "{{ {'items': 1, 'a': 2}.items }}".replace(".items }}", "['items'] }}"), "{{ tools[0].parameters.properties['items'] }}", "{{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 2) }}",
        "{{ {'a': 1, 'b': 2}.items() }} {{ {'a': 1}.keys() }} {{ {'a': 1}.values() }} {{ {'a': 1}.items() | list }} {{ {'a': 1}.copy() }}", "{{ [1, 2, 1].index(2) }} {{ [1, 2, 1].count(1) }}", "{{ [1].append(2) }}", "{{ {}.update({}) }}", "{{ {'a': 1}.pop('a') }}", "{% set x = [] %}{% set _ = x.append(1) %}",
        "{{ ''.__class__ }}", "{{ {1: 'a'}[1] }} {{ {1: 'a'}[1.0] }} {{ {1: 'a'}[true] }} {{ {'a': 1}[[]] }}|", "{{ 'a'.b() }}", "{{ (1)() }}", "{{ {'a': {'b': {'c': 1}}}.a.b.c }}", "{{ messages[0]['ro' ~ 'le'] }}", "{{ 'abc'['upper']() }}",
    ],
    "string methods": [
        "{{ text.strip() }}|{{ text.lstrip() }}|{{ text.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abcab'.lstrip('ba') }}|{{ 'a\\n'.rstrip('\\n') }}", "{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a b c'.split(' ', 1) }} {{ 'a b c'.rsplit(' ', 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ ' a b c '.split(none, 1) }} {{ ' a b c '.rsplit(maxsplit=1) }} {{ 'aaa'.split('aa') }} {{ 'aaa'.rsplit('aa') }}",
        "{{ 'x'.split('') }}", "{{ messages[4].content.split('</think>')[-1].lstrip('\\n') }} {{ messages[4].content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') }}", "{{ 'Hello'.startswith('He') }} {{ 'Hello'.endswith(('x', 'lo')) }} {{ 'Hello'.startswith('l', 2) }} {{ 'Hello'.endswith('el', 0, 3) }}", "{{ 'aXbX'.replace('X', '-') }} {{ 'aXbX'.replace('X', '', 1) }} {{ 'ab'.replace('', '.') }} {{ 'ab'.replace('', '.', 2) }} {{ 'aaa'.replace('aa', 'b') }}",
        "{{ 'hello wORLD'.upper() }} {{ 'HeLLo'.lower() }} {{ 'hello wORLD'.title() }} {{ 'hello wORLD'.capitalize() }} {{ 'aBc'.swapcase() }} {{ 'straße'.upper() }} {{ 'ÉÀ'.lower() }}", "{{ 'abcabc'.find('c') }} {{ 'abcabc'.rfind('c') }} {{ 'abc'.find('x') }} {{ '한글abc'.find('a') }} {{ 'abcabc'.count('bc') }} {{ 'abc'.index('b') }}", "{{ 'abc'.index('x') }}",
        "{{ ', '.join(['a', 'b']) }} {{ ''.join('abc') }} {{ '-'.join({'a': 1, 'b': 2}) }}", "{{ ','.join([1]) }}", "{{ '{} {}'.format(1, 'a') }} {{ '{1}{0}'.format('a', 'b') }} {{ '{x} {y[a]} {z.role}'.format(x=1, y={'a': 2}, z=messages[0]) }} {{ '{{}}'.format() }} {{ '{!r} {!s}'.format('a', 'b') }}",
        "{{ '{:>5}|{:<5}|{:^5}|{:*^7}|{:05d}|{:+}|{:,}|{:_}|{:.2f}|{:x}|{:#x}|{:b}|{:e}|{:%}|{:.3}|{:g}'.format('a', 'b', 'c', 'd', 42, 5, 1234567, 1234567, 3.14159, 255, 255, 5, 12345.678, 0.25, 'abcdef', 0.1) }}", "{{ '{:{}}|'.format('a', 5) }}", "{{ '{}'.format() }}", "{{ '{'.format(1) }}", "{{ '}'.format(1) }}", "{{ '{a}'.format(b=1) }}",
        "{{ 'a-b-c'.partition('-') }} {{ 'a-b-c'.rpartition('-') }} {{ 'abc'.partition('-') }} {{ 'abc'.rpartition('-') }}", "{{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }} {{ 'abc'.removesuffix('') }} {{ 'a\\nb\\r\\nc'.splitlines() }} {{ 'a\\nb'.splitlines(true) }}",
        "{{ '7'.zfill(3) }} {{ '-7'.zfill(4) }} {{ 'a'.center(4) }}| {{ 'ab'.center(5, '*') }} {{ 'a'.ljust(3, '.') }} {{ 'a'.rjust(3) }}", "{{ '12'.isdigit() }} {{ 'ab'.isalpha() }} {{ 'a1'.isalnum() }} {{ ' '.isspace() }} {{ 'AB'.isupper() }} {{ 'ab'.islower() }} {{ ''.isdigit() }} {{ '한글'.isalpha() }} {{ '½'.isnumeric() }}",
    ],
    "filters": [
        "{{ text|trim }}|{{ text|upper }}|{{ text|lower }}|{{ '  a '|trim|upper }}|{{ 'xax'|trim('x') }}|{{ 5|trim }}", "{{ 'a'|length }} {{ '한글😀'|length }} {{ words|length }} {{ {'a': 1}|length }} {{ missing|length }} {{ range(3)|count }}", "{{ 5|length }}", "{{ none|length }}", "{{ [1, 2]|map('string')|length }}",
        "{{ missing|default('d') }} {{ missing|default }}| {{ ''|default('d') }}| {{ ''|default('d', true) }} {{ none|default('d') }} {{ none|d('d', boolean=true) }}", "{{ words|join }} {{ words|join(', ') }} {{ [1, none, 2.0]|join('-') }} {{ rows|join(',', attribute='id') }} {{ 'abc'|join('.') }} {{ missing|join }}", "{{ 5|join }}",
        "{{ rows|map(attribute='name')|list }} {{ words|map('upper')|join }} {{ [1, 2]|map('string')|list }} {{ rows|map(attribute='on', default='-')|list }} {{ [[1, 2]]|map(attribute=0)|list }} {{ ['a b']|map('replace', ' ', '_')|list }}", "{{ [1]|map('nope')|list }}", "{{ [1]|map|list }}",
        "{{ rows|selectattr('on')|map(attribute='id')|list }} {{ rows|selectattr('on', 'defined')|map(attribute='id')|list }} {{ rows|selectattr('id', 'equalto', 2)|list }} {{ rows|rejectattr('name', 'in', ['x', 'y'])|list }} {{ rows|rejectattr('on')|list|length }} {{ rows|selectattr('id', '>', 1)|map(attribute='name')|join }}",
        "{{ [1, 0, 'a', '']|select|list }} {{ [1, 'a']|select('string')|list }} {{ [1, none]|reject('none')|list }} {{ numbers|select('gt', 1)|list }} {{ numbers|reject('equalto', -1)|list }}", "{{ words|sort }} {{ words|sort(case_sensitive=true) }} {{ numbers|sort(reverse=true) }} {{ rows|sort(attribute='id')|map(attribute='id')|list }} {{ rows|sort(attribute='name,id')|map(attribute='id')|list }} {{ {'b': 1, 'a': 2}|sort }}", "{{ [1, 'a']|sort }}",
        "{{ words|unique|list }} {{ words|unique(case_sensitive=true)|list }} {{ [1, 1.0, true, 2]|unique|list }}", "{{ numbers|min }} {{ numbers|max }} {{ words|min }} {{ words|max }} {{ []|min }}| {{ rows|max(attribute='id') }}", "{{ numbers|sum }} {{ rows|sum(attribute='id') }} {{ [[1], [2]]|sum(start=[]) }}", "{{ words|first }} {{ words|last }} {{ ''|first }}| {{ 'abc'|last }}", "{{ words|reverse|list }} {{ 'abc'|reverse }}", "{{ 'abc'|list }} {{ {'a': 1}|list }} {{ range(3)|list }} {{ missing|list }}", "{{ 5|list }}",
        "{{ {'b': 1, 'A': 2, 'c': 0}|dictsort }} {{ {'b': 1, 'A': 2}|dictsort(true) }} {{ {'b': 1, 'A': 2}|dictsort(false, 'value') }} {{ {'b': 1, 'A': 2}|dictsort(reverse=true) }}", "{% for k, v in {'a': 1}|items %}{{ k }}={{ v }}{% endfor %}{% for k, v in missing|items %}x{% endfor %}", "{{ [1]|items|list }}",
        "{{ 'a\\nb\\n\\nc'|indent }}|{{ 'a\\nb'|indent(2, true) }}|{{ 'a\\n\\nb'|indent('> ', blank=true) }}|{{ 'a\\nb'|indent(width=1, first=true) }}", "{{ '42'|int }} {{ '4.9'|int }} {{ 4.9|int }} {{ 'x'|int }} {{ 'x'|int(7) }} {{ '0x1f'|int(base=16) }} {{ true|int }} {{ none|int }} {{ ' 1_000 '|int }} {{ [1]|int(-1) }}", "{{ '1.5'|float }} {{ 'x'|float }} {{ 1|float }} {{ 'nan'|float }} {{ '-inf'|float }} {{ '1.'|float }} {{ '.5'|float }}", "{{ 5.678|round(1) }} {{ 2.5|round }} {{ 3.5|round }} {{ 5|round }} {{ 2.345|round(2) }} {{ 1.1|round(0, 'ceil') }} {{ 1.9|round(method='floor') }}", "{{ -5|abs }} {{ (-5)|abs }} {{ -1.5|abs }}",
        "{{ 'hello wORLD'|capitalize }} {{ 'hello (wORLD) it\\'s-x'|title }} {{ 'a b'|wordcount }} {{ 'abc'|center(7) }}|", "{{ 'aXbX'|replace('X', '-') }} {{ 'aXbX'|replace('X', '-', 1) }} {{ 121|replace(1, 'x') }}", "{{ '<a href=\"x\">\\'&'|escape }} {{ '<'|e|e }} {{ '<'|safe|e }} {{ ('<'|safe) + '<' }} {{ '<' + ('<'|safe) }} {{ ('<'|safe) ~ '<' }} {{ '<%s>'|safe % '<' }} {{ ['<'|safe] }}", "{{ ('<b>'|safe).replace('b', '<i>') }} {{ ('<,<'|safe).split(',') }} {{ ('{}'|safe).format('<') }} {{ (','|safe).join(['<', '<'|safe]) }}",
        "{{ 5|string + 'x' }} {{ none|string }} {{ [1]|string }} {{ missing|string }}|", "{{ '%s-%s'|format(1, 'a') }} {{ '%(a)s'|format(a=1) }}", "{{ [1, 2, 3]|batch(2)|list }} {{ [1, 2, 3]|batch(2, 0)|list }}", "{% for g, l in rows|groupby('on', default=false) %}{{ g }}:{{ l|length }};{% endfor %}", "{{ 'a long text that goes on'|truncate(10) }} {{ 'a long text that goes on'|truncate(10, true, '…', 0) }}", "{{ 'x'|nope }}", "{% if false %}{{ 'x'|nope }}{% endif %}fine", "{% if true %}{{ 'x'|nope }}{% endif %}", "{% if false %}{% for x in [1] %}{{ x|nope }}{% endfor %}{% endif %}", "{{ 'x'|nope if false else 'fine' }}", "{{ 'fine' if true else 'x' is nope }}",
    ],
    "json": [
        "{{ messages|tojson }}", "{{ tools|tojson(indent=2) }}", "{{ tools[0]|tojson(indent=4) }}", "{{ {'b': 1, 'a': {'d': [], 'c': {}}}|tojson(indent=1, sort_keys=true) }}", "{{ {'a': '한글😀\\x7f', 'b': '</script>\\'&'}|tojson(ensure_ascii=true) }}", "{{ {'a': '한글😀 / \\\\ \\\" \\b\\f\\n\\r\\t\\x00\\x1f\\x7f'}|tojson }}", "{{ [1, 1.0, 1e16, 1e-7, true, none, 'x', (1, 2)]|tojson }}", "{{ {1: 'a', 2.5: 'b', true: 'c', none: 'd'}|tojson }}",
        "{{ [1, {'a': 2}]|tojson(separators=(',', ':')) }}", "{{ [1, [2]]|tojson(indent='\\t') }} {{ []|tojson(indent=2) }} {{ [1]|tojson(indent=0) }}", "{{ missing|tojson }}", "{{ range(3)|tojson }}", "{{ namespace()|tojson }}", "{{ {}.items()|tojson }}", "{{ [1]|map('string')|tojson }}", "{{ '{\"b\": [1, 2.0, \"\\\\u00e9\"], \"a\": null}'|from_json }}", "{{ ('{\"a\": {\"b\": true}}'|from_json).a.b }}", "{{ 'x'|from_json }}", "{{ {'a': '\"'}|tojson|tojson }}", "{{ 'nan'|float|tojson }} {{ 'inf'|float|tojson }} {{ [-1 / 3]|tojson }}",
    ],
    "tests": [
        "{% for v in [1, 1.5, true, 'a', none, [1], (1,), {'a': 1}, range(2), missing, namespace(), 'a'|safe] %}{{ v is number }},{{ v is integer }},{{ v is float }},{{ v is boolean }},{{ v is string }},{{ v is none }},{{ v is mapping }},{{ v is sequence }},{{ v is iterable }},{{ v is defined }},{{ v is undefined }},{{ v is true }},{{ v is false }},{{ v is callable }},{{ v is escaped }}\n{% endfor %}",
        "{{ 3 is odd }} {{ 3 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(4) }} {{ 1 is in [1] }} {{ 1 is not in [1] }} {{ 1 is eq 1 }} {{ 1 is ne 1 }} {{ 2 is gt 1 }} {{ 2 is lessthan(1) }} {{ 'a' is equalto 'a' }} {{ 1 is sameas 1 }} {{ true is sameas true }} {{ 'a' is lower }} {{ 'A' is upper }}", "{{ x is defined and 1 }} {{ 1 is defined or x.y }} {{ not x is defined }} {{ x is not defined }} {{ (x is defined) == false }}", "{{ 'upper' is filter }} {{ 'nope' is filter }} {{ 'odd' is test }}", "{{ 1 is nope }}", "{{ 'a' is odd }}", "{{ 1 is defined is none }}", "{{ messages[0].zz is defined }} {{ messages[0].role is defined }} {{ messages is iterable and messages is not string and messages is not mapping }}", "{{ messages[0].zz.y is defined }}", "{{ [1] is sequence }} {{ [1]|map('string') is iterable }} {{ [1]|map('string') is sequence }} {{ raise_exception is defined }} {{ strftime_now is callable }}",
    ],
    "statements": [
        "{% set x = 1 %}{{ x }}{% set x = x + 1 %}{{ x }}{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, (d, e)) = [1, 'xy'] %}{{ c }}{{ d }}{{ e }}{% set t = 1, 2 %}{{ t }}", "{% set a, b = [1] %}", "{% set a, b = 5 %}", "{% set true = 1 %}", "{% set x %}a {{ 1 }}\n{% endset %}[{{ x }}]{% set x|upper|trim %} b {% endset %}[{{ x }}]", "{% if a %}1{% elif bos_token %}2{% else %}3{% endif %}{% if none %}1{% elif 0 %}2{% else %}3{% endif %}{% if 1, %}t{% endif %}", "{% if true: %}x{% endif %}",
        "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }} {% endfor %}", "{% for w in words %}{{ loop.previtem }}<{{ w }}>{{ loop.nextitem }} {{ loop.previtem is defined }}{{ loop.nextitem is defined }};{% endfor %}", "{% for w in words %}{{ loop.cycle('x', 'y') }}{{ loop.changed(w|lower) }}{% endfor %}", "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }}{{ ',' if not loop.last }}{% endfor %}", "{% for k in {'a': 1} %}{{ k }}{% endfor %}{% for c in 'héy' %}{{ c }}.{% endfor %}{% for x in missing %}x{% endfor %}{% for i in range(3) %}{{ i }}{% endfor %}", "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a, b in [1] %}{% endfor %}", "{% for x in 5 %}{% endfor %}", "{% for x in none %}{% endfor %}",
        "{% for x in [] %}a{% else %}none{% endfor %}{% for x in [1] %}a{% else %}none{% endfor %}", "{% for x in [1, 2, 3, 4] if x is even %}{{ x }}{{ loop.index }}{{ loop.last }}{% endfor %}{% for x in [1, 2] if false %}x{% else %}none{% endfor %}", "{% set ns = namespace(seen=[]) %}{% for x in [1, 2, 1, 3, 2] if x not in ns.seen %}{{ x }}{% set ns.seen = ns.seen + [x] %}{% endfor %}", "{% for x in range(9) %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% for x in [1, 2] %}{% for y in [1, 2] %}{% if y == 2 %}{% break %}{% endif %}{{ x }}{{ y }}{% endfor %}{% else %}no{% endfor %}", "{% for x in [1, 2] %}{% break %}{% else %}else{% endfor %}", "{% for x in [1, 2] %}{% set y %}a{% if x == 1 %}{% continue %}{% endif %}b{% endset %}{{ y }}{% endfor %}", "{% break %}", "{% macro m() %}{% break %}{% endmacro %}", "{% for x in [1] %}{% for y in [1] %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
        "{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = i * 10 %}{{ x }} {% endfor %}{{ x }}", "{% for i in [1] %}{% set y = i %}{% endfor %}{{ y is defined }}", "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}", "{% set ns = namespace(a=1, b=[]) %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% set ns.b = ns.b + [i] %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c is defined }}{{ ns }}", "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns['b'] }}{% set ns.a, ns.b = 3, 4 %}{{ ns.a }}{{ ns.b }}", "{% set x = {} %}{% set x.a = 1 %}", "{% set missing.a = 1 %}", "{% set ns = namespace(_x=1) %}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{{ namespace(a=1).b.c }}", "{% for loop in [1] %}{% endfor %}", "{% for x in [1] %}{% set loop = 1 %}{% endfor %}",
        "{% for m in messages %}{{ bos_token }}{% endfor %}{% set bos_token = 'late' %}{{ bos_token }}", "{% macro f() %}{{ bos_token }}{% endmacro %}{{ f() }}{% set bos_token = 'late' %}{{ f() }}", "{% if false %}{% set bos_token = 'x' %}{% endif %}{% for m in [1] %}{{ bos_token }}{% endfor %}", "{% for i in [1] %}{% for j in [1] %}{{ bos_token }}{% endfor %}{% set bos_token = 2 %}{% endfor %}", "{{ bos_token }}{% set bos_token = 'late' %}{% for i in [1] %}{{ bos_token }}{% endfor %}", "{% set tools = none %}{{ tools is none }}",
        "{% macro m(a, b='d', c=a) %}{{ a }},{{ b }},{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=3, a=4) }}{{ m() }}{{ m(1, 2, 3) }}{{ m }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, a=3) }}", "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}", "{% macro fib(n) %}{% if n < 2 %}{{ n }}{% else %}{{ fib(n - 1)|int + fib(n - 2)|int }}{% endif %}{% endmacro %}{{ fib(10) }}", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}b{% endmacro %}{{ a() }}", "{% macro a() %}{{ b() }}{% endmacro %}{{ a() }}{% macro b() %}b{% endmacro %}", "{% set x = 1 %}{% macro m() %}{{ x }}{% set x = 5 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}{% set x = 2 %}{{ m() }}", "{% macro m(x) %}  {{ x }}  {% endmacro %}[{{ m('a')|trim }}]{{ m('b') is string }}", "{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro m(ns) %}{% set ns.a = ns.a + 1 %}{% endmacro %}{% set n = namespace(a=1) %}{{ m(n) }}{{ m(n) }}{{ n.a }}", "{% macro m(a, a2=missing) %}{{ a2 is defined }}{{ a is defined }}{% endmacro %}{{ m() }}", "{% macro m(a=1, b) %}{% endmacro %}",
        "{% filter upper %}a{{ 'b' }}{% endfilter %}{% filter replace('a', 'b')|trim %} a {% endfilter %}", "{% filter length %}a{% endfilter %}", "{% generation %}x{{ 1 }}{% endgeneration %}{% set y = 1 %}{% generation %}{% set y = 2 %}{{ y }}{% endgeneration %}{{ y }}", "{% for m in messages %}{%- generation -%} {{ m.role }} {%- endgeneration -%}{% endfor %}", "{% print 1, 'a' %}", "{% set x = 5 %}{% set x %}{{ x }}!{% endset %}{{ x }}", "{{ raise_exception('No: ' ~ 1) }}", "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}", "{{ raise_exception(5) }}", "{{ raise_exception() }}", "{{ strftime_now('%Y-%m-%d %H:%M:%S %d %B %b %a %A %I %p %j %y %m %U %W %w %u %F %T %D %R %e %h %C %f %-d %-m %%') }}", "{{ strftime_now() }}", "{{ range(0) }} {{ range(3) }} {{ range(1, 7, 2)|list }} {{ range(3, 0, -1)|list }} {{ range(2)|length }}", "{{ range(1, 2, 0) }}", "{{ range(100001) }}", "{{ range('a') }}", "{{ dict(a=1, b=2) }} {{ dict({'a': 1}, b=2) }} {{ dict([('a', 1)]) }}",
    ],
    "found by make_random.py": [
        "{% filter length %}x{% endfilter %}", "{% for x in [1] %}{% macro m(a=x) %}{{ a }}{% endmacro %}{{ m() }}{% for y in [2] %}{{ m(y) }}{% endfor %}{% endfor %}",
        "{{ range(5, 0, -2)[::-1] }} {{ range(3)[:-2:-1] }} {{ range(5, 0, -2)[7:] }} {{ range(5, 0, -2)[1:2] }}", "{{ words is filter }}", "{{ 'x' % missing }} {{ 'x' % [1] }} {{ 'x' % {'a': 1} }}", "{{ {missing: 1, nothing: 2} }}",
        "{{ words|indent }}", "{{ words|truncate(9) }} {{ missing|truncate }}", "{% set s | length %}ab{% endset %}{{ s + 1 }}", "{{ -words|length }} {{ -'a' is string }}", "{{ 1 if missing }}{{ [1 if missing] }}", "{{ ('a', 'b')|join|upper ~ 1 }}", "{{ loop }}|{{ x|default(loop) }}",
        "{{ [3, 1, 2]|sort|reverse|list|tojson }} {{ 'ab'|map('upper')|list }}", "{% macro m(p, z=p) %}{{ z }}{% endmacro %}{{ m() }}|{{ m(1) }}", "{% macro m %}x{% endmacro %}", "{% for x in [1, 2] if x > 1 %}{{ x }}{% break %}{% else %}e{% endfor %}", "{{ 'A' 'b'|lower }}", "{{ not 1 in [2] and 3 }}", "{{ 2 * 3 ~ 4 + 5 }}",
    ],
    "errors": [
        "{% if %}x{% endif %}", "{% if true %}", "{% for x in [1] %}", "{% endif %}", "{% nope %}", "{{ }}", "{{ 1 2 }}", "{{ (1 }}", "{{ [1 }}", "{{ 1) }}", "{{ (1] }}", "{{ a. }}", "{{ a| }}", "{{ a is }}", "{{ ! }}", "{{ a b }}", "{% set %}", "{% set x = %}", "{% set 1 = 2 %}", "{% for %}{% endfor %}", "{% for x %}{% endfor %}", "{% macro %}{% endmacro %}", "{% macro m %}{% endmacro %}", "{# open", "{{ open", "{% open", "{% raw %}open", "{{ 'a' 1 }}", "{{ {1} }}", "{{ {'a' 1} }}", "{{ f(a=1, 2) }}", "{{ f(a=1, a=2) }}", "{% else %}", "{% if true %}{% endfor %}", "{{ a[1:2:3:4] }}", "{{ if }}", "{% set x %}{% endfor %}", "{% extends 'x' %}", "{% include 'x' %}", "{{ 1 if }}", "{{ not }}", "{{ 1 + }}", "{{ ~ 1 }}", "{{ $x }}", "{{ a@b }}", "{% generation %}",
    ],
    "templates": [
        "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' and message['content'] %}{{ ' ' + message['content'] | trim + ' </s>' }}{% endif %}{% endfor %}",
        "{%- if tools %}\n    {{- '<|im_start|>system\\n' }}\n    {%- if messages[0].role == 'system' %}\n        {{- messages[0].content + '\\n\\n' }}\n    {%- endif %}\n    {%- for tool in tools %}\n        {{- \"\\n\" }}\n        {{- tool | tojson }}\n    {%- endfor %}\n    {{- '<|im_end|>\\n' }}\n{%- endif %}\n{%- set ns = namespace(last=messages|length - 1, open=true) %}\n{%- for message in messages[::-1] %}\n    {%- set index = (messages|length - 1) - loop.index0 %}\n    {%- if ns.open and message.role == 'user' %}\n        {%- set ns.open = false %}\n        {%- set ns.last = index %}\n    {%- endif %}\n{%- endfor %}\n{%- for message in messages %}\n    {%- if message.tool_calls %}\n        {%- for call in message.tool_calls %}\n            {%- set call = call.function if call.function else call %}\n            {{- '{\"name\": \"' ~ call.name ~ '\", \"arguments\": ' }}\n            {%- if call.arguments is string %}{{ call.arguments }}{% else %}{{ call.arguments | tojson }}{% endif %}\n            {{- '}' }}\n        {%- endfor %}\n    {%- elif message.content is string %}\n        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n{{- ns.last }}\n",
    ],
}


def main():
    cases = []
    for group, templates in GROUPS.items():
        for number, template in enumerate(templates):
            used = {name: value for name, value in DATA.items() if name in template}
            cases.append(case(f"{group} {number}", template, used))
    here = pathlib.Path(__file__).parent
    (here / "constructs.json").write_text(json.dumps(cases, ensure_ascii=False, indent=0) + "\n")
    print(len(cases), "cases,", sum("output" not in case for case in cases), "of them refusals")


main()
