// Comparison with Python's Jinja2: stored cases for every construct, and all of llama.cpp's templates where they were
// rendered by Fixtures/make_references.py.
import ChatTemplates
import Foundation
import OrderedCollections
import TestSupport
import Testing

/// A template and variables with what Jinja2 made of them.
struct ReferenceCase {
  /// What became of the template in Jinja2.
  enum Outcome: Equatable {
    case output(String)
    case raised(String)
    case error(String)
  }
  let name: String
  let template: String
  let variables: [String: JinjaValue]
  let outcome: Outcome

  /// The cases in a file written by the scripts beside this test.
  static func load(_ data: Data) throws -> [ReferenceCase] {
    guard case .array(let cases) = try JinjaValue(json: String(decoding: data, as: UTF8.self)) else { return [] }
    return cases.compactMap { value in
      guard case .object(let fields) = value, case .string(let name)? = fields["name"],
        case .string(let template)? = fields["template"], case .object(let variables)? = fields["variables"]
      else { return nil }
      let outcome: Outcome
      if case .string(let text)? = fields["output"] {
        outcome = .output(text)
      } else if case .string(let text)? = fields["raised"] {
        outcome = .raised(text)
      } else if case .string(let text)? = fields["error"] {
        outcome = .error(text)
      } else {
        return nil
      }
      let pairs = variables.map { ($0.key, $0.value) }
      return ReferenceCase(
        name: name, template: template, variables: Dictionary(uniqueKeysWithValues: pairs), outcome: outcome)
    }
  }

  /// What becomes of the template here.
  func render() -> Outcome {
    do {
      let template = try ChatTemplate(source: template)
      return .output(try template.render(variables: variables, clock: referenceClock).text)
    } catch {
      if case .raised(let message) = error.reason { return .raised(message) }
      return .error(error.description)
    }
  }

  /// Whether this outcome is the one of Jinja2; errors of Python need not have the same words.
  func agrees(with found: Outcome) -> Bool {
    switch (outcome, found) {
    case (.output(let a), .output(let b)), (.raised(let a), .raised(let b)): Array(a.utf8) == Array(b.utf8)
    case (.error, .error): true
    default: false
    }
  }
}

/// The moment at which the scripts' clock stands: 2024-07-26 15:04:05.
let referenceClock = TemplateClock(
  now: Date(timeIntervalSince1970: 1_722_006_245.123456), timeZone: TimeZone(secondsFromGMT: 0) ?? .current)

let realReferences = ProcessInfo.processInfo.environment["MALMOI_TEMPLATE_REFERENCES"]

@Suite struct ReferenceTests {
  @Test(arguments: ["constructs.json"])
  func `stored cases render as in Jinja2`(file: String) throws {
    let cases = try ReferenceCase.load(fixture(file))
    #expect(!cases.isEmpty)
    for reference in cases {
      let found = reference.render()
      #expect(
        reference.agrees(with: found),
        "\(reference.name)\n\(reference.template)\nexpected \(reference.outcome)\nfound \(found)")
    }
  }

  @Test(.enabled(if: realReferences != nil, "MALMOI_TEMPLATE_REFERENCES names no file; see make_references.py"))
  func `templates of real models render as in Jinja2`() throws {
    let cases = try ReferenceCase.load(Data(contentsOf: URL(fileURLWithPath: realReferences ?? "")))
    #expect(!cases.isEmpty)
    for reference in cases {
      let found = reference.render()
      #expect(reference.agrees(with: found), "\(reference.name)\nexpected \(reference.outcome)\nfound \(found)")
    }
  }
}
