// Runs a compiled template: a stack machine whose own state is all on the heap.
import OrderedCollections

/// The variables of one running scope.
final class Scope {
  let frame: Int
  let parent: Scope?
  var values: [Value?]

  init(_ frame: Int, in program: Program, parent: Scope?) {
    self.frame = frame
    self.parent = parent
    values = Array(repeating: nil, count: program.frames[frame].slots.count)
    for name in program.frames[frame].undefinedNames {
      if let slot = program.frames[frame].slots[name] {
        values[slot] = .undefined("'\(program.names[name])' is undefined")
      }
    }
  }
}

/// One rendering of a template.
final class Interpreter {
  /// What a macro call returns to.
  struct Activation {
    let returnTo: Int
    let scope: Scope
    let given: [Bool]
  }

  let program: Program
  let runtime: Runtime
  /// For each name of the program what the caller of the template gave for it, or the global function of that name.
  private let context: [Value?]
  var position = 0
  var stack: [Value] = []
  var scope: Scope
  private var loops: [Loop] = []
  var activations: [Activation] = []
  /// The text written so far, and on top of it what is being captured.
  var buffers = [""]
  private var generationStart: Int?
  private(set) var generations: [Range<Int>] = []
  // Only these can be part of cycles, so they are taken apart at the end.
  var namespaces: [Namespace] = []
  private var macroScopes: [Scope] = []

  init(_ program: Program, variables: [String: JinjaValue], _ runtime: Runtime) throws {
    self.program = program
    self.runtime = runtime
    context = try program.names.map { name in
      if let value = variables[name] { return try Value(value, runtime) }
      return GlobalFunction(rawValue: name).map { .callable(Callable(.function($0))) }
    }
    scope = Scope(0, in: program, parent: nil)
  }

  /// Runs the whole template; gives its text.
  func run() throws(TemplateError) -> String {
    defer { takeApart() }
    let code = program.instructions
    do {
      while true {
        try runtime.step()
        let instruction = code[position]
        if case .finish = instruction { return buffers[0] }
        position += try execute(instruction) ?? 1
      }
    } catch {
      let (line, column) = program.place(of: position)
      let reason: TemplateError.Reason = switch error {
      case let failure as Failure: failure.reason
      case let error as TemplateError: error.reason
      default: .value("\(error)")
      }
      throw TemplateError(reason: reason, line: line, column: column)
    }
  }

  private func takeApart() {
    for loop in loops { loop.finish() }
    for namespace in namespaces { namespace.attributes = [:] }
    for scope in macroScopes { scope.values = [] }
  }

  // MARK: Instructions

  /// Executes one instruction; gives how far to go when that is not to the next one.
  private func execute(_ instruction: Instruction) throws -> Int? {
    switch instruction {
    case .text(let text): try write(program.texts[text])
    case .output: try write(PythonText.string(pop(), runtime))
    case .string(let text): stack.append(.string(program.texts[text]))
    case .int(let value): stack.append(.int(value))
    case .double(let value): stack.append(.double(value))
    case .bool(let value): stack.append(.bool(value))
    case .none: stack.append(.none)
    case .undefined(let text): stack.append(.undefined(program.texts[text]))
    case .load(let name): stack.append(load(name))
    case .attribute(let name): stack.append(try Attributes.attribute(pop(), program.texts[name]))
    case .item:
      let key = pop()
      stack.append(try Attributes.item(pop(), key, runtime))
    case .slice:
      let bounds = pop(3)
      stack.append(try Attributes.slice(pop(), bounds[0], bounds[1], bounds[2], runtime))
    case .list(let count): stack.append(try .list(made(count)))
    case .tuple(let count): stack.append(try .tuple(made(count)))
    case .dictionary(let count): try makeDictionary(count)
    case .concatenate(let count): try concatenate(count)
    case .negate: stack.append(try Operators.negate(pop()))
    case .plus: stack.append(try Operators.plus(pop()))
    case .not: stack.append(.bool(!pop().isTrue()))
    case .binary(let operation):
      let right = pop()
      stack.append(try Operators.apply(operation, pop(), right, runtime))
    case .compare(let comparison):
      let right = pop()
      stack.append(.bool(try Operators.compare(comparison, pop(), right, runtime)))
    case .compareLink(let comparison, let distance):
      let right = pop()
      let holds = try Operators.compare(comparison, pop(), right, runtime)
      stack.append(holds ? right : .bool(false))
      if !holds { return distance }
    case .filter(let filter, let call):
      let arguments = try arguments(call)
      stack.append(try program.filters[filter](pop(), arguments, runtime))
    case .test(let test, let call):
      let arguments = try arguments(call)
      stack.append(.bool(try program.tests[test](pop(), arguments, runtime)))
    case .call(let shape): return try call(shape)
    case .fail(let text): throw Failure(.unsupported(program.texts[text]))
    case .jump, .jumpIfFalse, .jumpIfFalseOrPop, .jumpIfTrueOrPop, .jumpIfGiven: return jump(instruction)
    case .store(let slot): scope.values[slot] = pop()
    case .expectNamespace(let name):
      guard case .namespace = load(name) else {
        throw Failure.type("cannot assign attribute on non-namespace object '\(program.names[name])'")
      }
    case .storeAttribute(let name, let attribute): try storeAttribute(name, program.texts[attribute])
    case .unpack(let count): try unpack(count)
    case .enterScope(let frame): scope = Scope(frame, in: program, parent: scope)
    case .leaveScope: if let parent = scope.parent { scope = parent }
    case .expectText:
      if let value = stack.last, value.text == nil {
        throw Failure.type("a filter block must make a string, not '\(value.typeName)'")
      }
    case .beginCapture: buffers.append("")
    case .endCapture: stack.append(.string(buffers.removeLast()))
    case .dropCapture: buffers.removeLast()
    case .beginGeneration: if buffers.count == 1 { generationStart = buffers[0].utf8.count }
    case .endGeneration:
      if buffers.count == 1, let start = generationStart {
        generations.append(start..<buffers[0].utf8.count)
        generationStart = nil
      }
    case .beginLoop, .next, .current, .keepIf, .iterateKept, .markIterated, .endLoop, .enterBody:
      return try loopInstruction(instruction)
    case .defineMacro(let macro, let distance):
      macroScopes.append(scope)
      try runtime.allocate(64)
      let name = program.macros[macro].name
      stack.append(.callable(Callable(.macro(macro, entry: position + distance, scope, name: name))))
    case .returnFromMacro: return try returnFromMacro()
    case .finish: break
    }
    return nil
  }

  private func jump(_ instruction: Instruction) -> Int? {
    switch instruction {
    case .jump(let distance): return distance
    case .jumpIfFalse(let distance): return pop().isTrue() ? nil : distance
    case .jumpIfFalseOrPop(let distance):
      guard stack.last?.isTrue() == true else { return distance }
      stack.removeLast()
    case .jumpIfTrueOrPop(let distance):
      guard stack.last?.isTrue() == false else { return distance }
      stack.removeLast()
    case .jumpIfGiven(let parameter, let distance):
      return activations.last?.given[parameter] == true ? distance : nil
    default: break
    }
    return nil
  }

  private func loopInstruction(_ instruction: Instruction) throws -> Int? {
    if case .beginLoop = instruction {
      loops.append(try Loop(over: pop(), runtime))
      return nil
    }
    guard let loop = loops.last else { return nil }
    switch instruction {
    case .next(let distance): return try loop.advance() ? nil : distance
    case .current: stack.append(loop.current)
    case .keepIf: if pop().isTrue() { loop.keep() }
    case .iterateKept: loop.iterateKept()
    case .markIterated: loop.isIterated = true
    case .enterBody(let frame):
      scope = Scope(frame, in: program, parent: scope)
      // The first name declared in a body's scope is `loop`.
      scope.values[0] = .loop(loop)
    case .endLoop(let distance):
      loop.finish()
      loops.removeLast()
      if loop.isIterated { return distance }
    default: break
    }
    return nil
  }

  // MARK: Stack and output

  func pop() -> Value { stack.popLast() ?? .none }

  func pop(_ count: Int) -> [Value] {
    let values = Array(stack.suffix(count))
    stack.removeLast(values.count)
    return values
  }

  /// The values of a new list or tuple.
  private func made(_ count: Int) throws -> [Value] {
    try runtime.allocateItems(count + 1)
    return pop(count)
  }

  private func write(_ text: String) throws {
    try runtime.allocate(text.utf8.count)
    let top = buffers.count - 1
    buffers[top] += text
    guard buffers[top].utf8.count <= runtime.limits.outputBytes else {
      throw Failure.limit("the template writes more than \(runtime.limits.outputBytes) bytes")
    }
  }

  private func concatenate(_ count: Int) throws {
    var result = ""
    for value in pop(count) {
      let text = try PythonText.string(value, runtime)
      try runtime.allocate(text.utf8.count)
      result += text
    }
    stack.append(.string(result))
  }

  private func makeDictionary(_ count: Int) throws {
    try runtime.allocateItems(count * 2 + 1)
    let values = pop(count * 2)
    var entries = OrderedDictionary<Key, Value>(minimumCapacity: count)
    for index in 0..<count { entries[try Key(values[index * 2])] = values[index * 2 + 1] }
    stack.append(.dictionary(try Mapping(entries)))
  }

  // MARK: Names

  private func load(_ name: Int) -> Value {
    var next: Scope? = scope
    while let scope = next {
      if let slot = program.frames[scope.frame].slots[name], let value = scope.values[slot] { return value }
      next = scope.parent
    }
    return context[name] ?? .undefined("'\(program.names[name])' is undefined")
  }

  private func storeAttribute(_ name: Int, _ attribute: String) throws {
    guard case .namespace(let namespace) = load(name) else {
      throw Failure.type("cannot assign attribute on non-namespace object '\(program.names[name])'")
    }
    try expectPublic(attribute)
    try runtime.allocate(32)
    namespace.attributes[.string(attribute)] = pop()
  }

  func expectPublic(_ attribute: String) throws {
    guard !attribute.hasPrefix("_") else {
      throw Failure.value("a namespace cannot have the attribute '\(attribute)', which begins with an underscore")
    }
  }

  private func unpack(_ count: Int) throws {
    let values = try pop().iterate(runtime)
    guard values.count == count else {
      let relation = values.count < count ? "not enough" : "too many"
      throw Failure.value("\(relation) values to unpack (expected \(count), got \(values.count))")
    }
    stack += values.reversed()
  }
}
