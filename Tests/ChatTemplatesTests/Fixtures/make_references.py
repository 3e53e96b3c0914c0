"""Renders the chat templates that llama.cpp ships with Jinja2 and stores the outputs, for ReferenceTests.swift.

The templates belong to their authors and are not stored here. Without --templates they are taken from the source
package of llama-cpp-python, which carries llama.cpp.

    pip install jinja2==3.1.6
    python Tests/ChatTemplatesTests/Fixtures/make_references.py .build/chat-templates
    MALMOI_TEMPLATE_REFERENCES=.build/chat-templates/references.json swift test --filter ChatTemplatesTests
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tarfile

from jinja_reference import case

PACKAGE = "llama-cpp-python==0.3.36"

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the weather.\nOf a \"city\" & <country>.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "The city, e.g. 서울"},
                    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                    "days": {"type": "integer", "minimum": 1, "maximum": 7},
                    "exact": {"type": ["boolean", "null"]},
                    "places": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number"}}}},
                },
                "required": ["city"],
            },
        },
    },
    {
        "type": "function",
        "function": {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}},
    },
]


def message(role, content, **more):
    return {"role": role, "content": content, **more}


def call(arguments, name="get_weather", number="call12345"):
    return {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}


ARGUMENTS = {"city": "서울 \"Seoul\"", "days": 2, "exact": True, "ratio": 0.1, "places": [{"x": 1e16}], "unit": None}

CONVERSATIONS = {
    "plain": ([message("user", "Hello!"), message("assistant", "Hi. How can I help?"), message("user", "Who are you?")], None),
    "one question": ([message("user", "Hello!")], None),
    "tools": (
        [
            message("system", "You are a careful assistant."),
            message("user", "What is the weather in Seoul?"),
            message("assistant", "", tool_calls=[call(ARGUMENTS)]),
            message("tool", '{"temperature": 21.5}', name="get_weather", tool_call_id="call12345"),
            message("assistant", "It is 21.5 °C."),
            message("user", "Thanks."),
        ],
        TOOLS,
    ),
    "tools, as text, twice, without content": (
        [
            message("user", "Weather and time?"),
            message(
                "assistant",
                None,
                tool_calls=[call(json.dumps(ARGUMENTS, ensure_ascii=False)), call("{}", "now", "call67890")],
            ),
            message("tool", "sunny", name="get_weather", tool_call_id="call12345"),
            message("tool", "12:00", name="now", tool_call_id="call67890"),
        ],
        TOOLS,
    ),
    "turns": (
        [
            message("system", "당신은 \"친절한\" 도우미입니다.\n\n한국어로 답하세요."),
            message("user", "안녕하세요! 😀\n'작은' 따옴표와 \"큰\" 따옴표\t탭"),
            message("assistant", "<think>\n생각 중…\n</think>\n\n안녕하세요! 👩‍👩‍👧‍👦 {{ 중괄호 }} {% 태그 %}"),
            message("user", "  앞뒤 공백  \n"),
            message("assistant", "네.\r\n줄바꿈 \\ 역슬래시", reasoning_content="짧게 답하자.", thinking="짧게 답하자."),
            message("user", "한글 é e\u0301 \U0001f1f0\U0001f1f7"),
        ],
        None,
    ),
    "parts": (
        [
            message("system", [{"type": "text", "text": "Look closely."}]),
            message("user", [{"type": "image"}, {"type": "text", "text": "What is this?"}]),
            message("assistant", [{"type": "text", "text": "A picture."}]),
            message("user", [{"type": "text", "text": "Sure?"}]),
        ],
        None,
    ),
    "refused": ([message("assistant", "I speak first."), message("assistant", "And second."), message("x", "?")], None),
}


def templates(folder, cache):
    if folder is None:
        archives = list(cache.glob("llama_cpp_python-*.tar.gz"))
        if not archives:
            # pip makes the package's metadata after the download, with a build tool that it fetches; nothing is compiled.
            download = ["pip", "download", "--quiet", "--no-deps", "--no-binary", "llama-cpp-python", PACKAGE]
            subprocess.run([sys.executable, "-m", *download, "-d", str(cache)], check=True)
            archives = list(cache.glob("llama_cpp_python-*.tar.gz"))
        with tarfile.open(archives[0]) as archive:
            for member in archive:
                if "/models/templates/" in member.name and member.name.endswith(".jinja"):
                    yield pathlib.Path(member.name).name, archive.extractfile(member).read().decode()
    else:
        for path in pathlib.Path(folder).glob("*.jinja"):
            yield path.name, path.read_bytes().decode()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cache", type=pathlib.Path, help="folder for the package and references.json")
    parser.add_argument("--templates", help="folder of .jinja files to use instead of the package's")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    cases = []
    for name, template in sorted(templates(options.templates, options.cache)):
        for title, (messages, tools) in CONVERSATIONS.items():
            for prompt in (False, True):
                variables = {
                    "messages": messages,
                    "tools": tools,
                    "documents": None,
                    "add_generation_prompt": prompt,
                    "bos_token": "<bos>",
                    "eos_token": "<eos>",
                }
                cases.append(case(f"{name}, {title}{', prompt' if prompt else ''}", template, variables))
    (options.cache / "references.json").write_text(json.dumps(cases, ensure_ascii=False))
    refused = sum("output" not in case for case in cases)
    print(f"{len(cases)} references of {len(cases) // len(CONVERSATIONS) // 2} templates, {refused} of them refusals")


main()
