// A compiled template: flat instructions, so that running one needs no recursion, however a template is nested.

/// What a template compiles to.
struct Program: Sendable {
  var instructions: [Instruction] = []
  /// For each instruction the byte offset in `source` that it came from.
  var offsets: [Int] = []
  var texts: [String] = []
  var names: [String] = []
  var frames: [Frame] = []
  var macros: [Macro] = []
  var calls: [CallShape] = []
  var filters: [Filter] = []
  var tests: [Test] = []
  var source: [UInt8] = []

  /// The variables of one scope.
  struct Frame: Sendable {
    /// Where each name's value is kept.
    var slots: [Int: Int] = [:]
    /// Names that are undefined in inner scopes until they are set, although the context has them: Jinja2 decides
    /// what a name means before it runs.
    var undefinedNames: [Int] = []
  }

  struct Macro: Sendable {
    var name: String
    /// Names of the parameters; their slots are 0, 1, 2 and so on.
    var parameters: [Int] = []
    /// Slots for the arguments that no parameter takes, where the body uses them.
    var varargs: Int?
    var kwargs: Int?
    var frame: Int
  }

  /// How many values a call takes from the stack.
  struct CallShape: Sendable {
    var positional = 0
    var named: [String] = []
    var spreadsList = false
    var spreadsMapping = false
  }

  /// Line and column, from 1, of an instruction.
  func place(of instruction: Int) -> (line: Int, column: Int) {
    Self.place(of: offsets.indices.contains(instruction) ? offsets[instruction] : source.count, in: source)
  }

  static func place(of offset: Int, in source: [UInt8]) -> (line: Int, column: Int) {
    let before = source[..<min(offset, source.count)]
    let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    let line = before.count { $0 == UInt8(ascii: "\n") } + 1
    return (line, String(decoding: before[lineStart...], as: UTF8.self).unicodeScalars.count + 1)
  }
}

/// One step of the stack machine. Jumps are relative to the instruction itself, so that code can be moved.
enum Instruction: Sendable {
  // Values
  case text(Int)
  case string(Int)
  case int(Int)
  case double(Double)
  case bool(Bool)
  case none
  case undefined(Int)
  case load(Int)
  case attribute(Int)
  case item
  case slice
  case list(Int)
  case tuple(Int)
  case dictionary(Int)
  case concatenate(Int)
  case negate
  case plus
  case not
  case binary(BinaryOperator)
  case compare(Comparison)
  /// One link of `a < b < c`: leaves false and jumps, or leaves the right operand for the next link.
  case compareLink(Comparison, Int)
  case filter(Int, call: Int)
  case test(Int, call: Int)
  case call(Int)
  /// Fails with a message: a filter or test that exists neither here nor in Jinja2 and is only an error when reached.
  case fail(Int)
  // Flow
  case jump(Int)
  case jumpIfFalse(Int)
  /// Jumps and keeps the value when it is false (`and`) or true (`or`), drops it otherwise.
  case jumpIfFalseOrPop(Int)
  case jumpIfTrueOrPop(Int)
  // Statements
  case output
  case store(Int)
  case expectNamespace(Int)
  case storeAttribute(name: Int, attribute: Int)
  case unpack(Int)
  case enterScope(Int)
  case leaveScope
  /// Fails unless the value is a string: what a filter block makes must be one.
  case expectText
  case beginCapture
  case endCapture
  case dropCapture
  case beginGeneration
  case endGeneration
  // Loops
  case beginLoop
  /// Leaves the next item, or jumps when there is none.
  case next(Int)
  case current
  /// Keeps the current item for later when the condition on the stack is true.
  case keepIf
  case iterateKept
  case markIterated
  /// Ends the loop and jumps over the `else` part when the body was finished once.
  case endLoop(Int)
  /// Sets `loop` and pushes the scope of the body.
  case enterBody(Int)
  // Macros
  /// Makes a macro whose body begins at a distance from here.
  case defineMacro(Int, entry: Int)
  /// Jumps over the default of a parameter that was given.
  case jumpIfGiven(Int, Int)
  case returnFromMacro
  case finish
}
