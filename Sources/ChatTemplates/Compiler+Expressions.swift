// The expressions of the grammar, by precedence climbing.

extension Compiler {
  /// How tightly operators bind, loosest first.
  private enum Level {
    static let or = 1, and = 2, not = 3, compare = 4, add = 5, concatenate = 6, multiply = 7, power = 8
  }

  /// One expression, or a tuple of several.
  mutating func compileTuple(
    conditional: Bool = true, endsAtRecursive: Bool = false, allowsEmpty: Bool = false
  ) throws {
    let offset = current.offset
    var items = 0
    var isTuple = false
    while true {
      if current.kind == .variableEnd || current.kind == .blockEnd || isSymbol(")") { break }
      if endsAtRecursive, isName("recursive") { break }
      try compileExpression(conditional: conditional)
      items += 1
      guard take(symbol: ",") else { break }
      isTuple = true
    }
    if !isTuple, items == 1 { return }
    guard isTuple || allowsEmpty else { throw expected("an expression") }
    emit(.tuple(items), at: offset)
  }

  /// One expression, with `a if b else c` unless that would take the `if` of a loop.
  mutating func compileExpression(conditional: Bool = true) throws {
    let start = count
    let offset = current.offset
    try compileBinary(Level.or)
    while conditional, take(name: "if") {
      let wasConditional = isConditional
      isConditional = true
      excuseUnknown(since: offset)
      let value = cut(from: start)
      try compileBinary(Level.or)
      let skip = emit(.jumpIfFalse(0))
      paste(value)
      let end = emit(.jump(0))
      land(skip)
      if take(name: "else") {
        try nested { compiler in try compiler.compileExpression() }
      } else {
        let text = "the inline if-expression evaluated to false and no else section was defined"
        emit(.undefined(number(ofText: text)), at: offset)
      }
      land(end)
      isConditional = wasConditional
    }
  }

  private mutating func compileBinary(_ minimum: Int) throws {
    try nested { compiler in try compiler.climb(minimum) }
  }

  private mutating func climb(_ minimum: Int) throws {
    if minimum <= Level.not, isName("not") {
      var negations = 0
      while take(name: "not") { negations += 1 }
      try compileBinary(Level.compare)
      for _ in 0..<negations { emit(.not) }
    } else {
      try compileUnary()
    }
    while let level = operatorLevel(), level >= minimum {
      let offset = current.offset
      switch level {
      case Level.or, Level.and:
        advance()
        let jump = emit(level == Level.or ? .jumpIfTrueOrPop(0) : .jumpIfFalseOrPop(0), at: offset)
        try compileBinary(level + 1)
        land(jump)
      case Level.compare: try compileComparisons()
      case Level.concatenate:
        var operands = 1
        while take(symbol: "~") {
          try compileBinary(level + 1)
          operands += 1
        }
        emit(.concatenate(operands), at: offset)
      default:
        guard case .symbol(let symbol) = current.kind, let operation = Self.arithmetic[symbol] else { return }
        advance()
        try compileBinary(level + 1)
        emit(.binary(operation), at: offset)
      }
    }
  }

  private static let arithmetic: [String: BinaryOperator] = [
    "+": .add, "-": .subtract, "*": .multiply, "/": .divide, "//": .floorDivide, "%": .modulo, "**": .power,
  ]

  private func operatorLevel() -> Int? {
    switch current.kind {
    case .name("or"): Level.or
    case .name("and"): Level.and
    case .symbol("~"): Level.concatenate
    case .symbol("+"), .symbol("-"): Level.add
    case .symbol("*"), .symbol("/"), .symbol("//"), .symbol("%"): Level.multiply
    case .symbol("**"): Level.power
    default: comparison() == nil ? nil : Level.compare
    }
  }

  private func comparison() -> Comparison? {
    switch current.kind {
    case .symbol(let symbol): Comparison(rawValue: symbol)
    case .name("in"): .contained
    case .name("not") where following.kind == .name("in"): .notContained
    default: nil
    }
  }

  /// `a < b < c`, each operand computed once.
  private mutating func compileComparisons() throws {
    var links: [Int] = []
    while let comparison = comparison() {
      let offset = current.offset
      advance()
      if comparison == .notContained { advance() }
      try compileBinary(Level.compare + 1)
      if self.comparison() != nil {
        links.append(emit(.compareLink(comparison, 0), at: offset))
      } else {
        emit(.compare(comparison), at: offset)
      }
    }
    for link in links { land(link) }
  }

  // MARK: Operands

  private mutating func compileUnary() throws {
    var signs: [(Instruction, Int)] = []
    while isSymbol("-") || isSymbol("+") {
      signs.append((isSymbol("-") ? .negate : .plus, current.offset))
      advance()
    }
    try compilePrimary()
    try compilePostfix()
    for (instruction, offset) in signs.reversed() { emit(instruction, at: offset) }
    while true {
      if isSymbol("|") {
        guard try compileFilters() else { return }
      } else if isName("is") {
        try compileTest()
      } else if isSymbol("(") {
        try compileCall()
      } else {
        return
      }
    }
  }

  mutating func compilePrimary() throws {
    let token = current
    switch token.kind {
    case .name(let name):
      advance()
      switch name {
      case "true", "True": emit(.bool(true), at: token.offset)
      case "false", "False": emit(.bool(false), at: token.offset)
      case "none", "None": emit(.none, at: token.offset)
      default: load(name, at: token.offset)
      }
    case .string(var text):
      advance()
      while case .string(let more) = current.kind {
        text += more
        advance()
      }
      emit(.string(number(ofText: text)), at: token.offset)
    case .integer(let value):
      advance()
      emit(.int(value), at: token.offset)
    case .float(let value):
      advance()
      emit(.double(value), at: token.offset)
    case .symbol("("):
      advance()
      try compileTuple(allowsEmpty: true)
      try expect(symbol: ")")
    case .symbol("["):
      advance()
      emit(.list(try compileItems("]") { compiler in try compiler.compileExpression() }), at: token.offset)
    case .symbol("{"):
      advance()
      let pairs = try compileItems("}") { compiler in
        try compiler.compileExpression()
        try compiler.expect(symbol: ":")
        try compiler.compileExpression()
      }
      emit(.dictionary(pairs), at: token.offset)
    default: throw expected("an expression")
    }
  }

  private mutating func compileItems(_ close: String, _ item: (inout Compiler) throws -> Void) throws -> Int {
    var items = 0
    while !isSymbol(close) {
      if items > 0 {
        try expect(symbol: ",")
        if isSymbol(close) { break }
      }
      try item(&self)
      items += 1
    }
    advance()
    return items
  }

  mutating func compilePostfix() throws {
    while true {
      let offset = current.offset
      if take(symbol: ".") {
        if case .integer(let index) = current.kind {
          advance()
          emit(.int(index), at: offset)
          emit(.item, at: offset)
        } else {
          emit(.attribute(number(ofText: try expectName("the name of an attribute"))), at: offset)
        }
      } else if take(symbol: "[") {
        try compileSubscript(at: offset)
      } else if isSymbol("(") {
        try compileCall()
      } else {
        return
      }
    }
  }

  private mutating func compileSubscript(at offset: Int) throws {
    var items = 0
    while !isSymbol("]") {
      if items > 0 { try expect(symbol: ",") }
      let hasStart = !isSymbol(":")
      if hasStart { try compileExpression() }
      if isSymbol(":") {
        guard items == 0 else { throw problem(.unsupported("a slice inside a tuple")) }
        if !hasStart { emit(.none, at: offset) }
        return try compileSlice(at: offset)
      }
      items += 1
    }
    advance()
    if items != 1 { emit(.tuple(items), at: offset) }
    emit(.item, at: offset)
  }

  /// The stop and the step of a slice whose start is compiled.
  private mutating func compileSlice(at offset: Int) throws {
    for _ in 0..<2 {
      if take(symbol: ":"), !isSymbol(":"), !isSymbol("]") {
        try compileExpression()
      } else {
        emit(.none, at: offset)
      }
    }
    if isSymbol(",") { throw problem(.unsupported("a slice inside a tuple")) }
    try expect(symbol: "]")
    emit(.slice, at: offset)
  }
}
