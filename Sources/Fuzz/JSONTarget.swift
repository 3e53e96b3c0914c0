// JSON comes from programs that call a server and from models that call tools.
import ChatTemplates

struct JSONTarget: Target {
  private let mutator = TextMutator(
    corpus: [
      #"{"role": "user", "content": "Hello", "n": [1, -2.5e3, 0, true, false, null], "deep": {"a": {"b": [[], {}]}}}"#,
      #"["é", "\u00e9", "\ud83d\ude00", "\"\\\/\b\f\n\r\t", "말모이", 9223372036854775807, -9223372036854775808, 1E-7]"#,
      #"{"type":"function","function":{"name":"f","parameters":{"x":{"enum":["a","b"]},"required":[]}}}"#,
      "[[[[[[[[1]]]]]]]]", "0", "\"\"", "{}", " [ ] ", "-0.0", "1.7976931348623157e308",
    ],
    dictionary: [
      "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud800", "\\udc00", "\\u0000", "true", "false", "null", "NaN",
      "Infinity", "-", "+", ".", "e", "E", "0", "00", "1", "9223372036854775808", "1e400", "4.9e-324", " ", "\n", "\t",
      "{\"a\":", "[1,", "\"a\"", "\u{FEFF}", "\u{2028}", "é", "😀", "/*", "//", "'",
    ],
    signs: ["\\u", "\\\""])

  func input(_ random: inout SeededGenerator) -> [UInt8] { mutator.input(&random) }

  func use(_ input: [UInt8]) throws {
    let value = try JinjaValue(json: String(decoding: input, as: UTF8.self))
    let written = try value.json()
    if value.isFinite { promise((try? JinjaValue(json: written)) == value, "what is written is what was read") }
  }
}

extension JinjaValue {
  /// Whether JSON can express all numbers in this.
  fileprivate var isFinite: Bool {
    switch self {
    case .double(let number): number.isFinite
    case .array(let values): values.allSatisfy(\.isFinite)
    case .object(let fields): fields.values.allSatisfy(\.isFinite)
    case .null, .bool, .int, .string: true
    }
  }
}
