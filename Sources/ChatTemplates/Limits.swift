// Templates come from strangers: everything that one can consume is counted here.

/// How much a template may consume while it renders. The defaults are far above what real templates need.
public struct TemplateLimits: Sendable, Equatable {
  /// Instructions, loop turns and comparisons, about 10 to 100 ns each.
  public var steps = 10_000_000
  /// Bytes of all the strings and lists created during one rendering, the output included.
  public var allocatedBytes = 256 << 20
  /// Bytes of rendered text.
  public var outputBytes = 64 << 20
  /// Macros active at once.
  public var macroDepth = 200

  public init() {}

  /// Nesting of lists and dictionaries, fixed because walking and releasing them recurses on the thread's stack.
  static let valueDepth = JSONValue.greatestDepth
  /// Nesting of expressions and blocks, fixed because parsing recurses on the thread's stack.
  static let syntaxDepth = 32
  /// Bytes of a template's source.
  static let sourceBytes = 2 << 20
  /// Parameters of a macro, and named arguments of a call.
  static let parameters = 255
  /// Bytes of a format for `strftime_now`.
  static let dateFormatBytes = 1000
  /// Items of a `range`, as in Jinja2's sandbox.
  static let rangeCount = 100_000
}

/// What one rendering may still consume, shared by everything that works for it.
final class Runtime {
  private var steps: Int
  private var bytes: Int
  let limits: TemplateLimits
  let clock: TemplateClock

  init(limits: TemplateLimits, clock: TemplateClock) {
    self.limits = limits
    self.clock = clock
    steps = limits.steps
    bytes = limits.allocatedBytes
  }

  /// Counts work.
  @inline(__always)
  func step(_ count: Int = 1) throws {
    steps -= count
    if steps < 0 { throw Failure.limit("the template needs more than \(limits.steps) steps") }
  }

  /// Counts memory before it is taken, and the work of filling it.
  func allocate(_ count: Int) throws {
    guard count <= bytes else {
      throw Failure.limit("the template creates more than \(limits.allocatedBytes) bytes of values")
    }
    bytes -= count
    try step(count / 64)
  }

  /// Counts the memory of a list of `count` values.
  func allocateItems(_ count: Int) throws {
    guard count <= bytes / 32 else {
      throw Failure.limit("the template creates more than \(limits.allocatedBytes) bytes of values")
    }
    try allocate(count * 32)
    try step(count)
  }
}
