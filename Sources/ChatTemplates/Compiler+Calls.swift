// Calls, filters and tests: what takes arguments.

extension Compiler {
  mutating func compileCall() throws {
    let offset = current.offset
    emit(.call(try compileArguments()), at: offset)
  }

  /// Compiles arguments in parentheses; gives the number of the shape of the call.
  private mutating func compileArguments() throws -> Int {
    var shape = Program.CallShape()
    try expect(symbol: "(")
    var isFirst = true
    while !isSymbol(")") {
      if !isFirst {
        try expect(symbol: ",")
        if isSymbol(")") { break }
      }
      isFirst = false
      let offset = current.offset
      let misplaced = problem(.syntax("expected another order of arguments: values, names, *list, **mapping"))
      if take(symbol: "*") {
        guard !shape.spreadsList, !shape.spreadsMapping else { throw misplaced }
        shape.spreadsList = true
        try compileExpression()
      } else if take(symbol: "**") {
        guard !shape.spreadsMapping else { throw misplaced }
        shape.spreadsMapping = true
        try compileExpression()
      } else if case .name(let name) = current.kind, following.kind == .symbol("=") {
        guard !shape.spreadsList, !shape.spreadsMapping else { throw misplaced }
        guard shape.named.count < TemplateLimits.parameters else {
          throw problem(.limit("more than \(TemplateLimits.parameters) named arguments"))
        }
        guard !shape.named.contains(name) else {
          throw problem(.syntax("expected the argument '\(name)' once"), at: offset)
        }
        advance()
        advance()
        try compileExpression()
        shape.named.append(name)
      } else {
        guard shape.named.isEmpty, !shape.spreadsList, !shape.spreadsMapping else { throw misplaced }
        try compileExpression()
        shape.positional += 1
      }
    }
    advance()
    return number(of: shape)
  }

  private mutating func number(of shape: Program.CallShape) -> Int {
    program.calls.append(shape)
    return program.calls.count - 1
  }

  /// A filter's name and arguments, applied to the value on the stack.
  mutating func compileFilter() throws {
    let offset = current.offset
    let name = try compileDottedName("the name of a filter")
    let call = isSymbol("(") ? try compileArguments() : number(of: Program.CallShape())
    emitFilter(name, call, at: offset)
  }

  /// `|filter|filter`; whether there was one.
  mutating func compileFilters() throws -> Bool {
    var found = false
    while take(symbol: "|") {
      try compileFilter()
      found = true
    }
    return found
  }

  private mutating func compileDottedName(_ what: String) throws -> String {
    var name = try expectName(what)
    while take(symbol: ".") { name += "." + (try expectName(what)) }
    return name
  }

  mutating func compileTest() throws {
    advance()
    let isNegated = take(name: "not")
    let offset = current.offset
    let name = try compileDottedName("the name of a test")
    var shape = Program.CallShape()
    let call: Int
    if isSymbol("(") {
      call = try compileArguments()
    } else {
      if startsTestArgument() {
        if isName("is") { throw expected("no second 'is'") }
        shape.positional = 1
        try nested { compiler in
          try compiler.compilePrimary()
          try compiler.compilePostfix()
        }
      }
      call = number(of: shape)
    }
    emitTest(name, call, at: offset)
    if isNegated { emit(.not, at: offset) }
  }

  private func startsTestArgument() -> Bool {
    switch current.kind {
    case .name("else"), .name("or"), .name("and"): false
    case .name, .string, .integer, .float, .symbol("["), .symbol("{"): true
    default: false
    }
  }
}
