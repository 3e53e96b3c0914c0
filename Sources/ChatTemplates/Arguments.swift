// The arguments of a call, filter or test, and how they meet the names of parameters.

/// Positional and named arguments.
struct Arguments {
  var positional: [Value] = []
  var named: [(name: String, value: Value)] = []

  /// The arguments in the order of `parameters`, nil where one was not given.
  ///
  /// - Parameter required: how many of the first parameters must be given.
  func bind(_ callee: String, _ parameters: [String], required: Int = 0) throws -> [Value?] {
    guard positional.count <= parameters.count else {
      throw Failure.type("\(callee) takes at most \(parameters.count) arguments, got \(positional.count)")
    }
    var bound: [Value?] = positional
    bound += [Value?](repeating: nil, count: parameters.count - positional.count)
    for (name, value) in named {
      guard let index = parameters.firstIndex(of: name) else {
        throw Failure.type("\(callee) has no parameter '\(name)'")
      }
      guard bound[index] == nil else { throw Failure.type("\(callee) got two values for '\(name)'") }
      bound[index] = value
    }
    for index in 0..<required where bound[index] == nil {
      throw Failure.type("\(callee) needs the argument '\(parameters[index])'")
    }
    return bound
  }

  /// Fails when anything was given.
  func expectNone(_ callee: String) throws { _ = try bind(callee, []) }
}

extension Value {
  /// This argument as an integer.
  func requireInteger(_ what: String) throws -> Int {
    if case .undefined(let undefined) = self { throw undefined.failure }
    guard let integer else { throw Failure.type("\(what) must be an integer, not '\(typeName)'") }
    return integer
  }

  /// This argument as a string.
  func requireText(_ what: String) throws -> String {
    guard let text else { throw Failure.type("\(what) must be a string, not '\(typeName)'") }
    return text
  }
}

extension Value? {
  /// This argument as an integer, `otherwise` when it was not given.
  func integer(_ what: String, otherwise: Int) throws -> Int { try self?.requireInteger(what) ?? otherwise }

  /// The truth of this argument, false when it was not given.
  var isTrue: Bool { self?.isTrue() ?? false }

  /// This argument, nil when it is none or was not given.
  var unlessNone: Value? {
    if case .some(.none) = self { return nil }
    return self
  }
}
