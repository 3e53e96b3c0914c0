// Tokens to instructions in one pass. There is no syntax tree, so nothing deep has to be walked or released.

/// Parses a template and emits its instructions. The grammar is that of `jinja2/parser.py`.
struct Compiler {
  var program = Program()
  private var tokens: [Token] = []
  private(set) var index = 0
  private var nameNumbers: [String: Int] = [:]
  private var textNumbers: [String: Int] = [:]
  private var filterNumbers: [String: Int] = [:]
  private var testNumbers: [String: Int] = [:]
  private var frames: [FrameBuilder] = []
  private(set) var frame = 0
  private var depth = 0
  /// Unknown filters and tests, an error unless they turn out to be inside a condition.
  private var unknown: [Lexer.Problem] = []
  var loops: [LoopBuilder] = []
  /// What has to be undone when control leaves the innermost constructs, outermost first.
  var cleanups: [Instruction] = []
  /// The macros around the current place.
  var openMacros: [Int] = []
  /// Whether an unknown filter is an error only when it is reached: inside `if`, as in Jinja2.
  var isConditional = false

  /// A scope while its names are collected.
  private struct FrameBuilder {
    let parent: Int?
    var slots: [Int: Int] = [:]
    /// The names met so far, and whether the first meeting was an unconditional assignment.
    var firstIsStore: [Int: Bool] = [:]
    var branches = 0
  }

  /// A loop while its body is compiled: where `break` and `continue` have to be pointed later.
  struct LoopBuilder {
    var breaks: [Int] = []
    var continues: [Int] = []
    let cleanups: Int
    var usesLoopVariable = false
  }

  /// Compiles the source of a template.
  static func compile(_ source: String) throws(TemplateError) -> Program {
    guard source.utf8.count <= TemplateLimits.sourceBytes else {
      let text = "a template longer than \(TemplateLimits.sourceBytes) bytes"
      throw TemplateError(reason: .limit(text), line: 0, column: 0)
    }
    var lexer = Lexer(source)
    do {
      var compiler = Compiler(try lexer.tokenize(), lexer.source)
      try compiler.compileTemplate()
      return compiler.program
    } catch let problem as Lexer.Problem {
      let place = Program.place(of: problem.offset, in: lexer.source)
      throw TemplateError(reason: problem.reason, line: place.line, column: place.column)
    } catch {
      throw TemplateError(reason: .syntax("\(error)"), line: 0, column: 0)
    }
  }

  private init(_ tokens: [Token], _ source: [UInt8]) {
    self.tokens = tokens
    program.source = source
  }

  private mutating func compileTemplate() throws {
    frames.append(FrameBuilder(parent: nil))
    try compileBody(until: [])
    emit(.finish)
    if let first = unknown.first { throw first }
    finishFrames()
  }

  /// Decides, with all scopes known, which names an inner scope must not look up in the context.
  private mutating func finishFrames() {
    for builder in frames {
      var frame = Program.Frame(slots: builder.slots)
      for (name, isStore) in builder.firstIsStore where isStore {
        var ancestor = builder.parent
        while let number = ancestor, frames[number].firstIsStore[name] == nil { ancestor = frames[number].parent }
        if ancestor == nil { frame.undefinedNames.append(name) }
      }
      program.frames.append(frame)
    }
  }

  // MARK: Tokens

  var current: Token { tokens[min(index, tokens.count - 1)] }

  var following: Token { tokens[min(index + 1, tokens.count - 1)] }

  mutating func advance() { index += 1 }

  func isSymbol(_ symbol: String) -> Bool { current.kind == .symbol(symbol) }

  func isName(_ name: String) -> Bool { current.kind == .name(name) }

  mutating func take(symbol: String) -> Bool {
    guard isSymbol(symbol) else { return false }
    index += 1
    return true
  }

  mutating func take(name: String) -> Bool {
    guard isName(name) else { return false }
    index += 1
    return true
  }

  mutating func expect(symbol: String) throws { if !take(symbol: symbol) { throw expected("'\(symbol)'") } }

  mutating func expect(_ kind: Token.Kind, _ what: String) throws {
    guard current.kind == kind else { throw expected(what) }
    index += 1
  }

  mutating func expectName(_ what: String) throws -> String {
    guard case .name(let name) = current.kind else { throw expected(what) }
    index += 1
    return name
  }

  func problem(_ reason: TemplateError.Reason, at offset: Int? = nil) -> Lexer.Problem {
    Lexer.Problem(reason: reason, offset: offset ?? current.offset)
  }

  func expected(_ what: String) -> Lexer.Problem {
    let got: String = switch current.kind {
    case .data: "text"
    case .blockBegin: "'{%'"
    case .blockEnd: "the end of the tag, '%}'"
    case .variableBegin: "'{{'"
    case .variableEnd: "the end of the tag, '}}'"
    case .name(let name): "'\(name)'"
    case .string: "a string"
    case .integer, .float: "a number"
    case .symbol(let symbol): "'\(symbol)'"
    case .end: "the end of the template"
    }
    return problem(.syntax("expected \(what), got \(got)"))
  }

  /// Runs `body` one level deeper in the grammar.
  mutating func nested(_ body: (inout Compiler) throws -> Void) throws {
    depth += 1
    guard depth <= TemplateLimits.syntaxDepth else {
      throw problem(.limit("the template is nested deeper than \(TemplateLimits.syntaxDepth)"))
    }
    try body(&self)
    depth -= 1
  }

  // MARK: Code

  /// Instructions taken out of the program to be put in elsewhere.
  struct Code {
    var instructions: [Instruction] = []
    var offsets: [Int] = []
  }

  var count: Int { program.instructions.count }

  @discardableResult
  mutating func emit(_ instruction: Instruction, at offset: Int? = nil) -> Int {
    program.instructions.append(instruction)
    program.offsets.append(offset ?? current.offset)
    return count - 1
  }

  mutating func cut(from start: Int) -> Code {
    let code = Code(instructions: Array(program.instructions[start...]), offsets: Array(program.offsets[start...]))
    program.instructions.removeLast(count - start)
    program.offsets.removeLast(code.offsets.count)
    return code
  }

  mutating func paste(_ code: Code) {
    program.instructions += code.instructions
    program.offsets += code.offsets
  }

  /// Points the jump at `place` to the end of the code so far.
  mutating func land(_ place: Int) { setJump(at: place, by: count - place) }

  mutating func setJump(at place: Int, by distance: Int) {
    program.instructions[place] = switch program.instructions[place] {
    case .jumpIfFalse: .jumpIfFalse(distance)
    case .jumpIfFalseOrPop: .jumpIfFalseOrPop(distance)
    case .jumpIfTrueOrPop: .jumpIfTrueOrPop(distance)
    case .compareLink(let comparison, _): .compareLink(comparison, distance)
    case .next: .next(distance)
    case .endLoop: .endLoop(distance)
    case .jumpIfGiven(let parameter, _): .jumpIfGiven(parameter, distance)
    default: .jump(distance)
    }
  }

  // MARK: Names and constants

  mutating func number(ofName name: String) -> Int { Self.number(of: name, in: &nameNumbers, &program.names) }

  mutating func number(ofText text: String) -> Int { Self.number(of: text, in: &textNumbers, &program.texts) }

  private static func number(of key: String, in numbers: inout [String: Int], _ list: inout [String]) -> Int {
    // Swift's strings are equal when canonically equivalent; only the exact spelling may share a number.
    if let number = numbers[key], sameScalars(list[number], key) { return number }
    list.append(key)
    numbers[key] = list.count - 1
    return list.count - 1
  }

  mutating func emitFilter(_ name: String, _ call: Int, at offset: Int) {
    if let number = filterNumbers[name] {
      emit(.filter(number, call: call), at: offset)
    } else if let filter = Filters.table[name] {
      program.filters.append(filter)
      filterNumbers[name] = program.filters.count - 1
      emit(.filter(program.filters.count - 1, call: call), at: offset)
    } else {
      emitUnknown("no filter is named '\(name)'", at: offset)
    }
  }

  mutating func emitTest(_ name: String, _ call: Int, at offset: Int) {
    if let number = testNumbers[name] {
      emit(.test(number, call: call), at: offset)
    } else if let test = Tests.table[name] {
      program.tests.append(test)
      testNumbers[name] = program.tests.count - 1
      emit(.test(program.tests.count - 1, call: call), at: offset)
    } else {
      emitUnknown("no test is named '\(name)'", at: offset)
    }
  }

  private mutating func emitUnknown(_ text: String, at offset: Int) {
    if !isConditional { unknown.append(problem(.unsupported(text), at: offset)) }
    emit(.fail(number(ofText: text)), at: offset)
  }

  /// What was parsed since `offset` turned out to be part of a condition.
  mutating func excuseUnknown(since offset: Int) { unknown.removeAll { $0.offset >= offset } }

  // MARK: Scopes

  /// Runs `body` in a new scope inside the current one; gives the number of the scope.
  @discardableResult
  mutating func inFrame(_ body: (inout Compiler, Int) throws -> Void) rethrows -> Int {
    let outer = (frame, isConditional)
    frames.append(FrameBuilder(parent: frame))
    frame = frames.count - 1
    let inner = frame
    isConditional = false
    try body(&self, inner)
    (frame, isConditional) = outer
    return inner
  }

  /// Runs `body` as a branch of the current scope, where assignments may not happen.
  mutating func inBranch(_ body: (inout Compiler) throws -> Void) rethrows {
    let wasConditional = isConditional
    isConditional = true
    frames[frame].branches += 1
    try body(&self)
    frames[frame].branches -= 1
    isConditional = wasConditional
  }

  mutating func load(_ name: String, at offset: Int) {
    let number = number(ofName: name)
    note(number, isStore: false)
    if name == "loop" { for index in loops.indices { loops[index].usesLoopVariable = true } }
    if name == "varargs" || name == "kwargs" {
      for macro in openMacros where !program.macros[macro].parameters.contains(number) {
        if name == "varargs" { program.macros[macro].varargs = slot(number, in: program.macros[macro].frame) }
        if name == "kwargs" { program.macros[macro].kwargs = slot(number, in: program.macros[macro].frame) }
      }
    }
    emit(.load(number), at: offset)
  }

  mutating func store(_ name: String) {
    let number = number(ofName: name)
    note(number, isStore: frames[frame].branches == 0)
    emit(.store(slot(number, in: frame)))
  }

  /// Makes `name` a variable of the current scope that is always set, such as a parameter.
  @discardableResult
  mutating func declare(_ name: String) -> Int {
    let number = number(ofName: name)
    note(number, isStore: false)
    return slot(number, in: frame)
  }

  mutating func note(_ name: Int, isStore: Bool) {
    if frames[frame].firstIsStore[name] == nil { frames[frame].firstIsStore[name] = isStore }
  }

  private mutating func slot(_ name: Int, in frame: Int) -> Int {
    if let slot = frames[frame].slots[name] { return slot }
    let slot = frames[frame].slots.count
    frames[frame].slots[name] = slot
    return slot
  }
}
