// The public API: conversations, errors with their places, JSON, the clock and the marks of generated text.
import ChatTemplates
import Foundation
import TestSupport
import Testing

@Suite struct ChatTemplateTests {
  @Test func `a conversation is rendered with its tools, tokens and further context`() throws {
    let template = try ChatTemplate(
      source: """
        {{ bos_token }}{% for m in messages %}
        <{{ m.role }}{{ ' ' ~ m.name if m.name }}>{{ m.content or '' }}{{ m.tool_calls|tojson if m.tool_calls }}
        {% endfor %}
        {{ tools|tojson }}{{ eos_token is defined }}{{ style }}{{ '<assistant>' if add_generation_prompt }}
        """)
    let messages = [
      ChatMessage(role: "user", content: "안녕"),
      ChatMessage(
        role: "assistant", content: nil, toolCalls: [.init(id: "1", name: "f", arguments: ["b": 1, "a": 0.5])]),
      ChatMessage(role: "tool", content: .text("x"), name: "f", toolCallID: "1"),
    ]
    let text = try template.render(
      messages: messages, tools: [["name": "f"]], addGenerationPrompt: true, bosToken: "<s>", context: ["style": "!"])
    #expect(
      text == """
        <s><user>안녕
        <assistant>[{"id": "1", "type": "function", "function": {"name": "f", "arguments": {"b": 1, "a": 0.5}}}]
        <tool f>x
        [{"name": "f"}]False!<assistant>
        """)
  }

  @Test func `a message becomes the fields that templates know`() throws {
    let message = ChatMessage(
      role: "assistant", content: .parts([["type": "text", "text": "a"]]), reasoning: "r", name: "n", toolCallID: "i",
      additionalFields: ["extra": 1, "name": "other"])
    let fields = #"{"role": "assistant", "content": [{"type": "text", "text": "a"}], "reasoning_content": "r", "#
    #expect(try message.value.json() == fields + #""thinking": "r", "name": "other", "tool_call_id": "i", "extra": 1}"#)
    #expect(try ChatMessage(role: "x", content: nil).value.json() == #"{"role": "x", "content": ""}"#)
    let null = ChatMessage(role: "x", content: nil, additionalFields: ["content": nil])
    #expect(try null.value.json() == #"{"role": "x", "content": null}"#)
  }

  @Test func `the parts inside generation tags are marked`() throws {
    let source = "한{% for m in [1, 2] %}<{% generation %}{{ m }}é{% endgeneration %}>{% endfor %}"
    let rendering = try ChatTemplate(source: source).render(variables: [:])
    let bytes = Array(rendering.text.utf8)
    #expect(rendering.text == "한<1é><2é>")
    #expect(rendering.generations.map { String(decoding: bytes[$0], as: UTF8.self) } == ["1é", "2é"])
  }

  @Test(arguments: [
    ("a\n  {{ 1 + }}", 2, 10, "expected an expression, got the end of the tag, '}}'"),
    ("{% if x %}\n한{% endfor %}", 2, 5, "expected 'elif' or 'else' or 'endif' or another tag, got 'endfor'"),
    ("{% for x in y %}", 1, 17, "expected '{% endfor %}' or '{% else %}', got the end of the template"),
    ("{{ 'open }}", 1, 4, "expected the end of a string, '"), ("{# open", 1, 1, "expected the end of a comment, '#}'"),
    ("{{ (1] }}", 1, 6, "expected ')', got ']'"), ("{{ 1|nope }}", 1, 6, "no filter is named 'nope'"),
    ("{% include 'x' %}", 1, 4, "the tag 'include'"),
  ])
  func `what is wrong with a template is said with its place`(source: String, line: Int, column: Int, text: String) {
    let error = #expect(throws: TemplateError.self) { try ChatTemplate(source: source) }
    #expect(error?.line == line && error?.column == column && error?.message == text, "\(String(describing: error))")
  }

  @Test(arguments: [
    ("\n{{ raise_exception('no ' ~ 1) }}", TemplateError.Reason.raised("no 1"), 2),
    ("{{ a.b }}", .undefined("'a' is undefined"), 1),
    ("{{ 1 }}\n\n{{ {}.a.b }}", .undefined("'dict object' has no attribute 'a'"), 3),
    ("{{ 1 + 'a' }}", .type("unsupported operand type(s) for +: 'int' and 'str'"), 1),
    ("{{ 1 / 0 }}", .value("division by zero"), 1),
  ])
  func `what fails while rendering is said with its place`(source: String, reason: TemplateError.Reason, line: Int)
    throws
  {
    let template = try ChatTemplate(source: source)
    let error = #expect(throws: TemplateError.self) { try template.render(variables: [:]) }
    #expect(error?.reason == reason && error?.line == line, "\(String(describing: error))")
  }

  @Test(arguments: [
    "[1, -2.5, 1e+20, 0.1, true, false, null]", #"{"b": {"z": [], "a": {}}, "a": "\"\\\n\t한글😀/"}"#, #""\u0001""#,
    "-0.0", "9223372036854775807", "[[[]]]",
  ])
  func `JSON is read and written with its order and its numbers`(text: String) throws {
    #expect(try JinjaValue(json: " \n" + text + "\t").json() == text)
  }

  @Test func `escapes in JSON become characters`() throws {
    #expect(try JinjaValue(json: #""\u00e9\ud83d\ude00\/\b\f""#) == .string("é😀/\u{8}\u{C}"))
  }

  @Test(arguments: [
    ("", 0), ("[1,]", 3), ("{\"a\" 1}", 5), ("{a: 1}", 1), ("[1 2]", 3), ("01", 1), ("1.", 2), ("\"a", 2),
    ("\"\n\"", 1),
    ("\"\\x\"", 2), ("\"\\ud83d\"", 7), ("nul", 0), ("1 2", 2), ("-", 1), ("1e", 2),
    ("\"\\u12g4\"", 3),
  ])
  func `malformed JSON is refused with the place`(text: String, byte: Int) {
    let error = #expect(throws: TemplateError.self) { try JinjaValue(json: text) }
    #expect(error?.message.hasSuffix("at byte \(byte)") == true, "\(String(describing: error))")
  }

  @Test(arguments: [
    (0.0, "1970-01-01 00:00:00 Thu Thursday Jan January 12 AM 001 00 00 4"),
    (951_825_599.0, "2000-02-29 11:59:59 Tue Tuesday Feb February 11 AM 060 09 09 2"),
    (1_735_689_599.0, "2024-12-31 23:59:59 Tue Tuesday Dec December 11 PM 366 52 53 2"),
  ])
  func `the clock is the one that was given`(seconds: Double, expected: String) throws {
    let source = "{{ strftime_now('%Y-%m-%d %H:%M:%S %a %A %b %B %I %p %j %U %W %w') }}"
    let clock = TemplateClock(
      now: Date(timeIntervalSince1970: seconds), timeZone: TimeZone(secondsFromGMT: 0) ?? .current)
    #expect(try ChatTemplate(source: source).render(variables: [:], clock: clock).text == expected)
  }

  @Test func `the time zone of the clock counts`() throws {
    let zone = try #require(TimeZone(secondsFromGMT: 9 * 3600))
    let clock = TemplateClock(now: Date(timeIntervalSince1970: 1_735_689_599), timeZone: zone)
    let template = try ChatTemplate(source: "{{ strftime_now('%Y %H') }}")
    #expect(try template.render(variables: [:], clock: clock).text == "2025 08")
  }

  @Test func `a template renders twenty messages in well under two milliseconds when optimised`() throws {
    let cases = try ReferenceCase.load(fixture("constructs.json"))
    let source = try #require(cases.last).template
    let messages = (0..<20).map { ChatMessage(role: $0 % 2 == 0 ? "user" : "assistant", content: "한글 text \($0)\n") }
    _ = try ChatTemplate(source: source).render(messages: messages)
    let best = try (0..<10).map { _ in
      try ContinuousClock().measure { _ = try ChatTemplate(source: source).render(messages: messages) }
    }.min()
    // Unoptimised code is tens of times slower; this only guards against work that grows without need.
    #expect(try #require(best) < .milliseconds(100))
  }
}
