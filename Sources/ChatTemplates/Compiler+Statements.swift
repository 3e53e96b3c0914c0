// The statements of the grammar: text, output and the tags.

extension Compiler {
  /// What a value is assigned to.
  enum Target {
    case name(String, offset: Int)
    case attribute(of: String, String, offset: Int)
    case tuple([Target])
  }

  /// Compiles up to a tag whose name is in `ends`, which becomes the current token; up to the end when `ends` is empty.
  mutating func compileBody(until ends: [String]) throws {
    while true {
      switch current.kind {
      case .data(let text):
        emit(.text(number(ofText: text)))
        advance()
      case .variableBegin:
        advance()
        let offset = current.offset
        try compileTuple()
        emit(.output, at: offset)
        try expect(.variableEnd, "the end of the output tag, '}}'")
      case .blockBegin:
        advance()
        if case .name(let name) = current.kind, ends.contains(name) { return }
        try nested { compiler in try compiler.compileStatement(inside: ends) }
        try expect(.blockEnd, "the end of the tag, '%}'")
      case .end where ends.isEmpty: return
      default: throw expected(ends.map { "'{% \($0) %}'" }.joined(separator: " or "))
      }
    }
  }

  private mutating func compileStatement(inside ends: [String]) throws {
    let offset = current.offset
    let name = try expectName("the name of a tag")
    switch name {
    case "for": try compileFor()
    case "if": try compileIf()
    case "set": try compileSet()
    case "macro": try compileMacro()
    case "filter": try compileFilterBlock()
    case "generation": try compileGeneration()
    case "print":
      repeat {
        try compileExpression()
        emit(.output, at: offset)
      } while take(symbol: ",")
    case "break", "continue": try compileLoopControl(isBreak: name == "break", at: offset)
    case "block", "extends", "import", "from", "include", "call", "with", "autoescape", "do", "trans":
      throw problem(.unsupported("the tag '\(name)'"), at: offset)
    default:
      let wanted = ends.isEmpty ? "a tag" : ends.map { "'\($0)'" }.joined(separator: " or ") + " or another tag"
      throw problem(.syntax("expected \(wanted), got '\(name)'"), at: offset)
    }
  }

  /// Compiles a tag's body up to and with its end tag's name.
  private mutating func compileBlock(_ ends: String...) throws -> String {
    _ = take(symbol: ":")
    try expect(.blockEnd, "the end of the tag, '%}'")
    try compileBody(until: ends)
    return try expectName("the name of a tag")
  }

  // MARK: Assignment

  private mutating func compileTarget(allowsAttribute: Bool, allowsTuple: Bool = true) throws -> Target {
    var targets: [Target] = []
    var isTuple = false
    repeat {
      if !targets.isEmpty, isName("in") || current.kind == .blockEnd || isSymbol(")") { break }
      let offset = current.offset
      if take(symbol: "(") {
        var inner: Target = .tuple([])
        try nested { compiler in inner = try compiler.compileTarget(allowsAttribute: false) }
        targets.append(inner)
        try expect(symbol: ")")
      } else {
        let name = try expectName("the name of a variable")
        guard !["true", "false", "none", "True", "False", "None"].contains(name) else {
          throw problem(.syntax("expected the name of a variable, got the constant '\(name)'"), at: offset)
        }
        if name == "loop", !loops.isEmpty || !allowsAttribute {
          throw problem(.syntax("expected another name: 'loop' cannot be assigned inside a loop"), at: offset)
        }
        if allowsAttribute, take(symbol: ".") {
          targets.append(.attribute(of: name, try expectName("the name of an attribute"), offset: offset))
        } else {
          targets.append(.name(name, offset: offset))
        }
      }
      if allowsTuple, isSymbol(",") { isTuple = true }
    } while allowsTuple && take(symbol: ",")
    return isTuple ? .tuple(targets) : targets[0]
  }

  private mutating func assign(_ target: Target) {
    switch target {
    case .name(let name, _): store(name)
    case .attribute(let name, let attribute, let offset):
      emit(.storeAttribute(name: number(ofName: name), attribute: number(ofText: attribute)), at: offset)
    case .tuple(let targets):
      emit(.unpack(targets.count))
      for target in targets { assign(target) }
    }
  }

  /// Fails before the right side is computed when an attribute's owner is no namespace, as Jinja2 does.
  private mutating func expectNamespaces(_ target: Target) {
    switch target {
    case .name: break
    case .attribute(let name, _, let offset):
      let number = number(ofName: name)
      note(number, isStore: false)
      emit(.expectNamespace(number), at: offset)
    case .tuple(let targets): for target in targets { expectNamespaces(target) }
    }
  }

  private mutating func compileSet() throws {
    let target = try compileTarget(allowsAttribute: true)
    if take(symbol: "=") {
      expectNamespaces(target)
      try compileTuple()
      assign(target)
      return
    }
    let start = count
    _ = try compileFilters()
    let filters = cut(from: start)
    try compileCapture(filters, "endset")
    assign(target)
  }

  /// A body whose output is caught, put through `filters` and left as a value.
  private mutating func compileCapture(_ filters: Code, _ end: String) throws {
    try inFrame { compiler, frame in
      compiler.emit(.enterScope(frame))
      compiler.emit(.beginCapture)
      compiler.cleanups += [.leaveScope, .dropCapture]
      _ = try compiler.compileBlock(end)
      compiler.cleanups.removeLast(2)
      compiler.emit(.endCapture)
      compiler.paste(filters)
      compiler.emit(.leaveScope)
    }
  }

  private mutating func compileFilterBlock() throws {
    let offset = current.offset
    let start = count
    try compileFilter()
    _ = try compileFilters()
    let filters = cut(from: start)
    try compileCapture(filters, "endfilter")
    emit(.expectText, at: offset)
    emit(.output, at: offset)
  }

  // MARK: Conditions

  private mutating func compileIf() throws {
    var ends: [Int] = []
    try inBranch { compiler in
      var word = "elif"
      while word == "elif" {
        try compiler.compileTuple(conditional: false)
        let skip = compiler.emit(.jumpIfFalse(0))
        word = try compiler.compileBlock("elif", "else", "endif")
        if word != "endif" { ends.append(compiler.emit(.jump(0))) }
        compiler.land(skip)
      }
      if word == "else" { _ = try compiler.compileBlock("endif") }
    }
    for end in ends { land(end) }
  }

  // MARK: Loops

  private mutating func compileFor() throws {
    let target = try compileTarget(allowsAttribute: false)
    guard take(name: "in") else { throw expected("'in'") }
    try compileTuple(conditional: false, endsAtRecursive: true)
    emit(.beginLoop)

    var test: Code?
    if take(name: "if") {
      let start = count
      try inFrame { compiler, frame in
        compiler.declareNames(target)
        compiler.emit(.enterScope(frame))
        compiler.emit(.current)
        compiler.assign(target)
        try compiler.compileExpression()
        compiler.emit(.leaveScope)
      }
      test = cut(from: start)
    }
    if isName("recursive") { throw problem(.unsupported("a recursive loop")) }

    let start = count
    var word = ""
    loops.append(LoopBuilder(cleanups: cleanups.count))
    let outerCleanups = cleanups
    try inFrame { compiler, frame in
      compiler.declare("loop")
      compiler.declareNames(target)
      compiler.cleanups.append(.leaveScope)
      compiler.emit(.enterBody(frame))
      compiler.emit(.current)
      compiler.assign(target)
      word = try compiler.compileBlock("endfor", "else")
      compiler.emit(.markIterated)
      compiler.emit(.leaveScope)
    }
    cleanups = outerCleanups
    let body = cut(from: start)
    if let loop = loops.popLast() { emitLoop(loop, test, body, bodyStart: start) }
    let end = count - 1
    if word == "else" {
      try inFrame { compiler, frame in
        compiler.emit(.enterScope(frame))
        compiler.cleanups.append(.leaveScope)
        _ = try compiler.compileBlock("endfor")
        compiler.cleanups.removeLast()
        compiler.emit(.leaveScope)
      }
    }
    land(end)
  }

  private mutating func declareNames(_ target: Target) {
    switch target {
    case .name(let name, _): declare(name)
    case .attribute: break
    case .tuple(let targets): for target in targets { declareNames(target) }
    }
  }

  /// Puts a loop together. A condition is tested as the loop goes, so that it sees what the body changed; where the
  /// body asks about the loop itself, all items are tested first, because only then is it known which is the last.
  private mutating func emitLoop(_ loop: LoopBuilder, _ test: Code?, _ body: Code, bodyStart: Int) {
    if let test, loop.usesLoopVariable {
      let next = emit(.next(0))
      paste(test)
      emit(.keepIf)
      emit(.jump(next - count))
      land(next)
      emit(.iterateKept)
    }
    let next = emit(.next(0))
    if let test, !loop.usesLoopVariable {
      paste(test)
      emit(.jumpIfFalse(next - count))
    }
    let moved = count - bodyStart
    paste(body)
    emit(.jump(next - count))
    land(next)
    for place in loop.breaks { setJump(at: place + moved, by: count - place - moved) }
    for place in loop.continues { setJump(at: place + moved, by: next - place - moved) }
    emit(.endLoop(0))
  }

  private mutating func compileLoopControl(isBreak: Bool, at offset: Int) throws {
    guard let loop = loops.last else {
      throw problem(.syntax("expected '\(isBreak ? "break" : "continue")' inside a loop"), at: offset)
    }
    for cleanup in cleanups[loop.cleanups...].reversed() { emit(cleanup, at: offset) }
    let jump = emit(.jump(0), at: offset)
    if isBreak { loops[loops.count - 1].breaks.append(jump) } else { loops[loops.count - 1].continues.append(jump) }
  }

  // MARK: Macros and generation

  private mutating func compileMacro() throws {
    let name = try expectName("the name of the macro")
    let jump = emit(.jump(0))
    let macro = program.macros.count
    program.macros.append(Program.Macro(name: name, frame: 0))
    let outer = (loops, cleanups)
    (loops, cleanups) = ([], [])
    try inFrame { compiler, frame in
      compiler.program.macros[macro].frame = frame
      try compiler.compileParameters(of: macro)
      compiler.openMacros.append(macro)
      _ = try compiler.compileBlock("endmacro")
      compiler.openMacros.removeLast()
      compiler.emit(.returnFromMacro)
    }
    (loops, cleanups) = outer
    land(jump)
    emit(.defineMacro(macro, entry: jump + 1 - count))
    store(name)
  }

  private mutating func compileParameters(of macro: Int) throws {
    var defaults: [(slot: Int, code: Code)] = []
    try expect(symbol: "(")
    while !isSymbol(")") {
      if !program.macros[macro].parameters.isEmpty { try expect(symbol: ",") }
      let offset = current.offset
      let name = try expectName("the name of a parameter")
      let parameter = number(ofName: name)
      guard program.macros[macro].parameters.count < TemplateLimits.parameters else {
        throw problem(.limit("more than \(TemplateLimits.parameters) parameters"), at: offset)
      }
      guard !program.macros[macro].parameters.contains(parameter) else {
        throw problem(.syntax("expected another name: the parameter '\(name)' is there twice"), at: offset)
      }
      program.macros[macro].parameters.append(parameter)
      let slot = declare(name)
      if take(symbol: "=") {
        let start = count
        try compileExpression()
        defaults.append((slot, cut(from: start)))
      } else if !defaults.isEmpty {
        throw problem(.syntax("expected a default, as the parameters before have"), at: offset)
      }
    }
    advance()
    for (slot, code) in defaults {
      let jump = emit(.jumpIfGiven(slot, 0))
      paste(code)
      emit(.store(slot))
      land(jump)
    }
  }

  private mutating func compileGeneration() throws {
    let outer = (loops, cleanups)
    (loops, cleanups) = ([], [])
    try inFrame { compiler, frame in
      compiler.emit(.enterScope(frame))
      compiler.emit(.beginGeneration)
      _ = try compiler.compileBlock("endgeneration")
      compiler.emit(.endGeneration)
      compiler.emit(.leaveScope)
    }
    (loops, cleanups) = outer
  }
}
