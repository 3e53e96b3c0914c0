// A running `for`, and the `loop` variable that shows it.

/// What iterates in a `for` statement. Jinja2 shows it to the template as `loop`.
final class Loop {
  private var items: [Value] = []
  private var position = 0
  private var sequence: LazySequence?
  private(set) var index0 = -1
  private(set) var current: Value = .none
  private var previous: Value?
  private var upcoming: Value?
  private var lastChanged: Value?
  /// Items that passed the loop's condition.
  private var kept: [Value] = []
  /// Whether the body was finished once.
  var isIterated = false

  init(over value: Value, _ runtime: Runtime) throws {
    if case .iterator(let sequence) = value {
      self.sequence = sequence
    } else {
      items = try value.iterate(runtime)
    }
  }

  private func fetch() throws -> Value? {
    if let sequence { return try sequence.next() }
    guard position < items.count else { return nil }
    position += 1
    return items[position - 1]
  }

  private func peek() throws -> Value? {
    if upcoming == nil { upcoming = try fetch() }
    return upcoming
  }

  /// Goes to the next item; false at the end.
  func advance() throws -> Bool {
    let ahead = upcoming
    upcoming = nil
    guard let next = try ahead ?? fetch() else { return false }
    if index0 >= 0 { previous = current }
    current = next
    index0 += 1
    return true
  }

  /// Sets the current item aside for ``iterateKept()``.
  func keep() { kept.append(current) }

  /// Starts over with the items set aside.
  func iterateKept() {
    (items, kept, sequence) = (kept, [], nil)
    (position, index0) = (0, -1)
    (current, previous, upcoming) = (.none, nil, nil)
  }

  /// Lets go of all items: a loop that a template kept must not hold on to others.
  func finish() {
    (items, kept, sequence) = ([], [], nil)
    (current, previous, upcoming, lastChanged) = (.none, nil, nil, nil)
  }

  func length() throws -> Int {
    if let sequence {
      items = try sequence.rest()
      self.sequence = nil
      position = 0
      return items.count + index0 + 1 + (upcoming == nil ? 0 : 1)
    }
    return items.count - position + index0 + 1 + (upcoming == nil ? 0 : 1)
  }

  func attribute(_ name: String) throws -> Value? {
    switch name {
    case "index": .int(index0 + 1)
    case "index0": .int(index0)
    case "revindex": .int(try length() - index0)
    case "revindex0": .int(try length() - index0 - 1)
    case "first": .bool(index0 == 0)
    case "last": .bool(try peek() == nil)
    case "length": .int(try length())
    case "previtem": previous ?? .undefined("there is no previous item")
    case "nextitem": try peek() ?? .undefined("there is no next item")
    case "depth": .int(1)
    case "depth0": .int(0)
    case "cycle", "changed": .callable(Callable(.method(of: .loop(self), name)))
    default: nil
    }
  }

  func call(_ name: String, _ arguments: Arguments, _ runtime: Runtime) throws -> Value {
    guard arguments.named.isEmpty else { throw Failure.type("loop.\(name)() takes no named arguments") }
    if name == "cycle" {
      guard !arguments.positional.isEmpty else { throw Failure.type("no items for cycling given") }
      return arguments.positional[max(0, index0) % arguments.positional.count]
    }
    let value = try Value.tuple(arguments.positional)
    if let lastChanged, try Operators.equal(lastChanged, value, runtime) { return .bool(false) }
    lastChanged = value
    return .bool(true)
  }
}
