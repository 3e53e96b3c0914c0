// Chat templates are programs that come with a model; they may say anything, for ever, and must do no harm.
import ChatTemplates

struct TemplateTarget: Target {
  private let mutator = TextMutator(
    corpus: [
      """
      {% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n'}}\
      {{ message['content'] + '<|im_end|>' + '\\n' }}\
      {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
      """,
      """
      {%- set ns = namespace(system='', found=false, n=0) -%}
      {%- for m in messages if m.role != 'tool' -%}
        {%- if m['role'] == 'system' -%}{% set ns.system = m['content'] | trim %}{%- set ns.found = true -%}
        {%- elif loop.first and not loop.last -%}{{ loop.index0 ~ loop.length ~ loop.nextitem.role }}
        {%- else -%}{{ loop.previtem and loop.previtem.content[:3] }}{%- endif -%}
        {%- set ns.n = ns.n + 1 -%}
      {%- else -%}{{ raise_exception('no messages') }}{%- endfor -%}{{ ns.system }}{{ ns.n }}
      """,
      """
      {% macro show(value, depth=0, open='{') %}{% if value is mapping %}{{ open }}{% for k, v in value | dictsort %}
      {{ k }}: {{ show(v, depth + 1) }}{% endfor %}}\
      {% elif value is iterable and value is not string %}[{% for v in value %}
      {{ show(v, depth + 1, open='') }}{{ ", " if not loop.last }}{% endfor %}]{% else %}{{ value | tojson }}{% endif %}
      {% endmacro %}{{ show(tools) }}
      """,
      """
      {% for message in messages[::-1] %}{% if message.content is string %}\
      {{ message.content.split('<x>')[-1].strip() }}
      {% else %}{% for part in message.content %}{{ part.text | default('', true) }}{% endfor %}{% endif %}
      {% generation %}{{ message.content | string | length }}{% endgeneration %}{% break %}{% endfor %}
      """,
      """
      {% filter upper %}{{ bos_token }}{% endfilter %}{% set text %}a{{ 1 / 3 }}b{% endset %}
      {{ text | indent(4, true) }}
      {{ range(1, 20, 3) | list | join(', ') }}{{ [3, 1, 2] | sort(reverse=true) | first }}
      {{ {'a': [1, {'b': none}]} | tojson(indent=2) }}
      """,
      """
      {{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | last }}
      {{ "%s-%05.2f" | format("x", 3.14159) }}
      {{ '{:>10}|{!r}'.format('a', 'b') }}{{ messages | groupby('role') | list | length }}{{ strftime_now('%Y-%m-%d') }}
      """,
      "{{ 7 // -2 }}{{ 7 % -2 }}{{ 2 ** 10 }}{{ 'a' * 3 }}{{ [1] * 3 }}{{ -1 ** 2 }}",
      "{{ 1 < 2 < 3 }}{{ 'a' in 'abc' }}{{ [] or {} }}", "{# a comment #}{% raw %}{{ not this }}{% endraw %}",
      "{%- if tools is defined and tools -%}{{ tools | length }}{%- endif -%}",
      "{% set a, b = (1, 2) %}{{ a }}{{ (a, b) | sum }}{{ {'x': a}.items() | list }}",
      "{{ dict(a=1).get('b', 2) }}{{ 'x'.replace('x', 'yy') }}",
      "{{ 'abc' | batch(2) | list }}{{ [1, 2, 2] | unique | list }}{{ '1' | int + '2.5' | float }}",
      "{{ 3.7 | round(1, 'floor') }}{{ '[1]' | from_json }}",
    ],
    dictionary: [
      "{%", "%}", "{{", "}}", "{#", "#}", "{%-", "-%}", "{{-", "-}}", "(", ")", "[", "]", "{", "}", ",", ":", ".", "|",
      "~", "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "=", " ", "\n", "'", "\"", "\\",
      "'a'", "\"\"", "0", "1", "-1", "2", "3.5", "1e308", "1_000", "100000", "9223372036854775807",
      "9223372036854775808", "'x' * 1000", " if ", " else ", " elif ", " endif ", " for ", " in ", " endfor ", " set ",
      " endset ", " macro ", " endmacro ", " is ", " not ", " and ", " or ", " none ", " true ", " false ", " break ",
      " continue ", " filter ", " endfilter ", " raw ", " endraw ", " generation ", " endgeneration ", " recursive ",
      " call ", " include ", " block ", " import ", "messages", "tools", "bos_token", "loop", "loop.cycle(1, 2)",
      "loop.index", "loop.previtem", "namespace", "ns", "self", "range", "range(100000)",
      "range(0, 9223372036854775807, 9223372036854775807)", "dict", "raise_exception", "strftime_now", "varargs",
      "kwargs", "caller", "show", "x", "ns.x", "[::-1]", "[1:]", "[-9:9:2]", "[::0]", "*a", "**a", "tojson", "length",
      "trim", "default", "join", "list", "selectattr", "rejectattr", "dictsort", "map", "replace", "from_json",
      "indent", "unique", "sort", "min", "max", "sum", "batch", "groupby", "truncate", "center", "round", "abs",
      "format", "wordcount", "reverse", "attr", "items", "first", "last", "int", "float", "string", "safe", "title",
      "defined", "divisibleby", "sameas", "sequence", "mapping", "undefined", "equalto", "split", "rsplit",
      "splitlines", "zfill", "rjust", "startswith", "partition", "'%*d'", "'%s'", "'%.999999999f'", "'{:>999999999}'",
      "'{0.a[b]!r:^9}'", "'%c'", "append", "pop", "extend", "insert", "get", "update", "keys", "values", "é", "😀",
      "\u{2028}", "__class__",
    ],
    signs: ["{%-", "-%}", "{{-", "-}}", "{%", "%}", "{{", "}}", "{#", "#}", "**", "//", "==", "!=", "<=", ">="])

  private let variables: [String: JinjaValue] = [
    "messages": [
      ["role": "system", "content": " Be brief. "],
      ["role": "user", "content": "a<x>b é 😀\nsecond line"],
      [
        "role": "assistant", "content": nil,
        "tool_calls": [["id": "1", "function": ["name": "f", "arguments": ["x": 1.5]]]],
      ],
      ["role": "tool", "content": [["type": "text", "text": "{\"ok\": true}"], ["type": "image"]]],
    ],
    "tools": [["type": "function", "function": ["name": "f", "parameters": ["properties": ["x": ["type": "number"]]]]]],
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true, "x": 9_223_372_036_854_775_807,
  ]

  private let limits = {
    var limits = TemplateLimits()
    limits.steps = 20_000
    limits.allocatedBytes = 1 << 20
    limits.outputBytes = 1 << 16
    return limits
  }()

  func input(_ random: inout SeededGenerator) -> [UInt8] { mutator.input(&random) }

  func use(_ input: [UInt8]) throws {
    let template = try ChatTemplate(source: String(decoding: input, as: UTF8.self))
    let rendering = try template.render(variables: variables, limits: limits)
    let count = rendering.text.utf8.count
    promise(count <= limits.outputBytes, "the output has \(count) bytes")
    for range in rendering.generations { promise(range.upperBound <= count, "generation \(range) is inside the text") }
  }
}
