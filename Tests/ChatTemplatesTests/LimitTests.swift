// Hostile templates: nothing that a stranger writes may crash, hang or fill the memory.
import ChatTemplates
import Foundation
import Synchronization
import TestSupport
import Testing

/// What a template comes to on a thread with the 512 KiB of stack that Swift's own threads have.
private func outcome(of source: String, limits: TemplateLimits = TemplateLimits()) -> Result<String, TemplateError> {
  let result = Mutex<Result<String, TemplateError>?>(nil)
  let done = DispatchSemaphore(value: 0)
  let thread = Thread {
    let found = Result { () throws(TemplateError) in
      try ChatTemplate(source: source).render(variables: [:], limits: limits).text
    }
    result.withLock { $0 = found }
    done.signal()
  }
  thread.stackSize = 512 << 10
  thread.start()
  done.wait()
  return result.withLock { $0 } ?? .success("")
}

private func times(_ count: Int, _ text: String) -> String { String(repeating: text, count: count) }

private func isLimit(_ result: Result<String, TemplateError>) -> Bool {
  if case .failure(let error) = result, case .limit = error.reason { true } else { false }
}

@Suite struct LimitTests {
  @Test(arguments: [
    ("(", "1", ")"), ("[", "1", "]"), ("{1: ", "1", "}"), ("f(", "1", ")"), ("1|default(", "1", ")"), ("x[", "1", "]"),
    ("1 is eq(", "1", ")"), ("1 if 0 else ", "1", ""), ("1 or (", "1", ")"), ("1 + (2 * (", "1", "))"),
  ])
  func `nested expressions stop at a limit and not at the end of the stack`(
    open: String, middle: String, close: String
  ) {
    #expect(isLimit(outcome(of: "{{ " + times(50_000, open) + middle + times(50_000, close) + " }}")))
    // Just below the limit everything runs, or fails for what it says.
    #expect(!isLimit(outcome(of: "{{ " + times(7, open) + middle + times(7, close) + " }}")))
  }

  @Test(arguments: [
    ("{% if 1 %}", "{% endif %}"), ("{% for x in [1] %}", "{% endfor %}"), ("{% macro m() %}", "{% endmacro %}"),
    ("{% set x %}", "{% endset %}"), ("{% filter upper %}", "{% endfilter %}"),
    ("{% generation %}", "{% endgeneration %}"),
  ])
  func `nested blocks stop at a limit and not at the end of the stack`(open: String, close: String) {
    #expect(isLimit(outcome(of: times(20_000, open) + times(20_000, close))))
    #expect((try? outcome(of: times(28, open) + times(28, close)).get()) != nil)
  }

  @Test func `long chains need no stack`() throws {
    let count = 20_000
    #expect(try outcome(of: "{{ " + times(count, "1 + ") + "1 }}").get() == "\(count + 1)")
    #expect(try outcome(of: "{{ 1" + times(count, "|string") + " }}").get() == "1")
    #expect(try outcome(of: "{{ " + times(count, "not ") + "1 }}").get() == "True")
    #expect(try outcome(of: "{{ " + times(count, "-") + "1 }}").get() == "1")
    #expect(try outcome(of: "{{ " + times(count, "1 ~ ") + "1 }}").get() == times(count + 1, "1"))
    #expect(try outcome(of: "{% if 0 %}" + times(count, "{% elif 0 %}") + "{% else %}x{% endif %}").get() == "x")
    #expect(try outcome(of: "{{ " + times(count, "1 <= ") + "1 }}").get() == "True")
  }

  @Test(arguments: [
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
    "{% set ns = namespace(x=1) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}",
    "{% set ns = namespace(x=1) %}{% for i in range(999) %}{% set ns.x = {'a': ns.x} %}{% endfor %}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(999) %}{% set ns.x = ns.x|map('string') %}{% endfor %}",
    "{% set ns = namespace(x='') %}{% for i in range(999) %}{% set ns.x = [ns.x].count %}{% endfor %}",
    "{% set ns = namespace(x=1) %}{% for i in range(999) %}{% set ns.x = namespace(x=ns.x) %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
    "{{ 'a' * 99999999999 }}", "{{ [1] * 99999999999 }}", "{{ 'a'.center(9999999999999) }}", "{{ '%9999999d' % 1 }}",
    "{{ '{:>9999999}'.format(1) }}", "{{ '%.99999f' % 1 }}", "{{ 'a'|indent(99999999999) }}",
    "{{ [1]|tojson(indent=99999999999) }}", "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
    "{{ [1]|batch(99999999999, 1)|list }}", "{{ range(100001) }}", "{{ 1.5|round(-9223372036854775807) }}",
    "{{ range(-9223372036854775807, 9223372036854775807) }}", "{{ strftime_now('%c' * 9999) }}",
  ])
  func `greedy templates reach a limit`(source: String) { #expect(isLimit(outcome(of: source))) }

  @Test(arguments: [
    "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(90) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(90) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson }}",
    "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(90) %}{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}"
      + "{% endfor %}{{ n.x == n.y }}",
    "{% set x = 'a' * 10000 %}{% for i in range(99999) %}{{ x }}{% endfor %}",
    "{% set x = 'a' * 10000 %}{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set n.l = n.l + [x ~ i] %}"
      + "{% endfor %}",
  ])
  func `endless work reaches a limit`(source: String) {
    var limits = TemplateLimits()
    (limits.steps, limits.allocatedBytes, limits.outputBytes) = (100_000, 4 << 20, 1 << 20)
    #expect(isLimit(outcome(of: source, limits: limits)))
  }

  @Test(arguments: [
    "{{ (-9223372036854775807 - 1) // -1 }}", "{{ -(-9223372036854775807 - 1) }}", "{{ 9223372036854775807 + 1 }}",
    "{{ 3037000500 * 3037000500 }}", "{{ 9 ** 99999999 }}", "{{ (-9223372036854775807 - 1)|abs }}", "{{ 1e300|int }}",
    "{{ '9223372036854775808'|int }}",
  ])
  func `integers outside 64 bits are refused`(source: String) throws {
    #expect(throws: TemplateError.self) { try outcome(of: source).get() }
  }

  @Test func `extreme numbers are harmless where Python allows them`() throws {
    let least = "(-9223372036854775807 - 1)"
    #expect(try outcome(of: "{{ \(least) % -1 }}").get() == "0")
    #expect(try outcome(of: "{{ 'abc'[\(least)::\(least)] }}").get() == "")
    let padded = "{{ 'abc'.center(\(least)) }}{{ 'abc'.zfill(\(least)) }}{{ 'a' * \(least) }}"
    #expect(try outcome(of: padded).get() == "abcabc")
    #expect(try outcome(of: "{{ 'abc'|truncate(9223372036854775807, leeway=9223372036854775807) }}").get() == "abc")
    #expect(try outcome(of: "{{ range(3, \(least))|length }}{{ \(least) in range(3) }}").get() == "0False")
    #expect(try outcome(of: "{{ (-1) ** 9223372036854775807 }}{{ 'ab'.split('b', \(least)) }}").get() == "-1['a', '']")
  }

  @Test func `what a template keeps of loops, macros and namespaces is released`() throws {
    let kept = """
      {% set ns = namespace(l=[1], m=1) %}{% macro make(f) %}{% macro inner() %}{{ f }}{% endmacro %}
      {% set ns.m = inner %}{% endmacro %}{% for i in range(20000) %}{% for y in ns.l %}{% set ns.l = [loop, ns] %}
      {% break %}{% endfor %}{{ make(ns.m) }}{% endfor %}done
      """
    #expect(try outcome(of: kept).get().hasSuffix("done"))
  }

  @Test func `data nested too deeply is refused`() {
    #expect(throws: TemplateError.self) { try JinjaValue(json: times(100_000, "[")) }
    var value: JinjaValue = 1
    for _ in 0..<150 { value = [value] }
    let deep = value
    #expect(throws: TemplateError.self) { try ChatTemplate(source: "{{ x }}").render(variables: ["x": deep]) }
    #expect(throws: TemplateError.self) { try deep.json() }
  }

  /// Cuts, repeats and mixes the stored templates; whatever comes out must either render or throw.
  @Test func `mutated templates render or throw`() throws {
    let cases = try ReferenceCase.load(fixture("constructs.json"))
    var random = SplitMix(state: 7)
    var limits = TemplateLimits()
    (limits.steps, limits.allocatedBytes, limits.outputBytes) = (50_000, 1 << 20, 1 << 18)
    let end = ContinuousClock.now + .seconds(3)
    var rendered = 0
    var refused = 0
    for _ in 0..<4000 where ContinuousClock.now < end {
      let first = cases[random.next(below: cases.count)]
      var bytes = Array(first.template.utf8)
      let other = Array(cases[random.next(below: cases.count)].template.utf8)
      for _ in 0...random.next(below: 3) {
        let start = random.next(below: bytes.count + 1)
        let stop = min(bytes.count, start + random.next(below: 12))
        let from = random.next(below: other.count + 1)
        let piece = other[from..<min(other.count, from + random.next(below: 20))]
        bytes.replaceSubrange(start..<stop, with: piece)
      }
      let source = String(decoding: bytes, as: UTF8.self)
      do {
        _ = try ChatTemplate(source: source).render(variables: first.variables, limits: limits)
        rendered += 1
      } catch {
        refused += 1
      }
    }
    #expect(rendered > 0 && refused > 0)
  }
}

/// Steele and others' SplitMix64, so that a failure can be repeated.
private struct SplitMix {
  var state: UInt64

  mutating func next(below bound: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    z ^= z >> 31
    return bound > 0 ? Int(z % UInt64(bound)) : 0
  }
}
