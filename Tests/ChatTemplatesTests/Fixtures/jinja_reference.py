"""Python's Jinja2 set up as Hugging Face transformers sets it up for chat templates: the oracle of this room's tests.

Only jinja2 is needed (pip install jinja2==3.1.6). The clock stands still, so that outputs can be stored.
"""
import copy
import datetime
import json

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime.datetime(2024, 7, 26, 15, 4, 5, 123456)


class Generation(jinja2.ext.Extension):
    """{% generation %}: marks what the assistant says; printed like any other text."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("show"), [], [], body).set_lineno(line)

    def show(self, caller):
        return caller()


class Namespace(jinja2.utils.Namespace):
    """A namespace without names that begin with an underscore."""

    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        values = dict(*args, **kwargs)
        for name in values:
            check(name)
        jinja2.utils.Namespace.__init__(self, values)

    def __setitem__(self, name, value):
        check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)


def check(name):
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"underscore in {name!r}")


class Raised(jinja2.exceptions.TemplateError):
    """What raise_exception raises."""


def raise_exception(message):
    raise Raised(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def environment():
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    made.filters["tojson"] = tojson
    made.filters["from_json"] = json.loads  # llama.cpp's addition
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = NOW.strftime
    made.globals["namespace"] = Namespace
    made.globals["dict"] = lambda *args, **kwargs: dict(*args, **kwargs)
    for name in ("lipsum", "cycler", "joiner"):
        del made.globals[name]
    return made


def case(name, template, variables):
    """One reference: what Jinja2 makes of a template, or how it refuses."""
    result = {"name": name, "template": template, "variables": variables}
    try:
        result["output"] = environment().from_string(template).render(**copy.deepcopy(variables))
    except Raised as error:
        result["raised"] = str(error.message)
    except Exception as error:
        result["error"] = f"{type(error).__name__}: {error}"
    return result
