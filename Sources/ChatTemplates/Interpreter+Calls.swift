// How the interpreter calls macros, methods and global functions.
import OrderedCollections

extension Interpreter {
  /// Takes the arguments of a call from the stack.
  func arguments(_ number: Int) throws -> Arguments {
    let shape = program.calls[number]
    let mapping = shape.spreadsMapping ? pop() : nil
    let list = shape.spreadsList ? pop() : nil
    var arguments = Arguments()
    if !shape.named.isEmpty { arguments.named = Array(zip(shape.named, pop(shape.named.count))) }
    if shape.positional > 0 { arguments.positional = pop(shape.positional) }
    if let list { arguments.positional += try list.iterate(runtime) }
    if let mapping {
      guard case .dictionary(let mapping) = mapping else {
        throw Failure.type("argument after ** must be a mapping, not \(mapping.typeName)")
      }
      for (key, value) in mapping.entries {
        guard case .string(let name) = key else { throw Failure.type("keywords must be strings") }
        guard !arguments.named.contains(where: { sameScalars($0.name, name) }) else {
          throw Failure.type("got multiple values for keyword argument '\(name)'")
        }
        try runtime.step(arguments.named.count)
        arguments.named.append((name, value))
      }
    }
    return arguments
  }

  func call(_ shape: Int) throws -> Int? {
    let arguments = try arguments(shape)
    let callee = pop()
    if case .undefined(let undefined) = callee { throw undefined.failure }
    guard case .callable(let callable) = callee else {
      throw Failure.type("'\(callee.typeName)' object is not callable")
    }
    switch callable.kind {
    case .macro(let macro, let entry, let scope, _): return try enter(macro, at: entry, in: scope, arguments)
    case .method(let receiver, let name): stack.append(try Calls.method(receiver, name, arguments, runtime))
    case .function(let function):
      let value = try Calls.function(function, arguments, runtime)
      if case .namespace(let namespace) = value {
        for key in namespace.attributes.keys { if case .string(let name) = key { try expectPublic(name) } }
        namespaces.append(namespace)
      }
      stack.append(value)
    }
    return nil
  }

  private func enter(_ number: Int, at entry: Int, in outer: Scope, _ arguments: Arguments) throws -> Int {
    guard activations.count < runtime.limits.macroDepth else {
      throw Failure.limit("macros call each other deeper than \(runtime.limits.macroDepth)")
    }
    let macro = program.macros[number]
    let inner = Scope(macro.frame, in: program, parent: outer)
    let count = macro.parameters.count
    var given = [Bool](repeating: false, count: count)
    for (slot, value) in arguments.positional.prefix(count).enumerated() {
      inner.values[slot] = value
      given[slot] = true
    }
    var extra: OrderedDictionary<Key, Value> = [:]
    for (name, value) in arguments.named {
      if let slot = macro.parameters.firstIndex(where: { sameScalars(program.names[$0], name) }), !given[slot] {
        inner.values[slot] = value
        given[slot] = true
      } else {
        extra[.string(name)] = value
      }
    }
    for slot in 0..<count where !given[slot] {
      inner.values[slot] = .undefined("parameter '\(program.names[macro.parameters[slot]])' was not provided")
    }
    if let slot = macro.kwargs {
      inner.values[slot] = .dictionary(try Mapping(extra))
    } else if case .string(let name)? = extra.keys.first {
      throw Failure.type("macro '\(macro.name)' takes no keyword argument '\(name)'")
    }
    if let slot = macro.varargs {
      inner.values[slot] = try .tuple(Array(arguments.positional.dropFirst(count)))
    } else if arguments.positional.count > count {
      throw Failure.type("macro '\(macro.name)' takes not more than \(count) argument(s)")
    }
    activations.append(Activation(returnTo: position + 1, scope: scope, given: given))
    buffers.append("")
    scope = inner
    return entry - position
  }

  func returnFromMacro() throws -> Int? {
    guard let activation = activations.popLast() else { return nil }
    stack.append(.string(buffers.removeLast()))
    scope = activation.scope
    return activation.returnTo - position
  }
}
