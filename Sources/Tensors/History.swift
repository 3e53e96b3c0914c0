// What ops leave behind so that gradients can be found: a node for each result that depends on a tensor whose gradient
// is wanted. Only nodes keep an op's inputs alive after it; in inference there are none.
import Synchronization

/// How one op's result depends on the tensors that it was made from. A leaf depends on none.
final class Node: @unchecked Sendable {  // changed by nobody but its deinit and a walk that is the only one
  private(set) var pullbacks: [Pullback]
  /// Computes the result again from what the pullbacks keep in any case, where that is cheap: whoever needs the result
  /// for a gradient need not keep it.
  private(set) var again: (@Sendable () -> Tensor)?

  init(_ pullbacks: [Pullback], again: (@Sendable () -> Tensor)? = nil) {
    self.pullbacks = pullbacks
    self.again = again
  }

  /// Forgets how the result came about, and with it the activations that only this node kept.
  func release() { (pullbacks, again) = ([], nil) }

  deinit {
    // Nodes that nobody else holds go one after another; by recursion a long chain would overflow the stack. Tensors
    // captured by a pullback hold nodes too, but those of the op's inputs only, and these wait in `pending`.
    var pending = pullbacks.flatMap(\.nodes)
    release()
    while var node = pending.popLast() {
      guard isKnownUniquelyReferenced(&node) else { continue }
      pending += node.pullbacks.flatMap(\.nodes)
      node.release()
    }
  }
}

/// From the gradient with respect to an op's result to the gradients with respect to some of its inputs.
struct Pullback: Sendable {
  /// The inputs' nodes; nil for one that needs no gradient.
  let inputs: [Node?]
  /// Adds a gradient to what each input has received so far, nil where it has received nothing. An input that needs no
  /// gradient, or had no part, stays as it is.
  let add: @Sendable (_ upstream: Tensor, _ sums: inout [Tensor?]) -> Void

  var nodes: [Node] { inputs.compactMap(\.self) }

  init(to input: Tensor, _ gradient: @escaping @Sendable (_ upstream: Tensor) -> Tensor) {
    self.init(to: [input]) { [gradient($0)] }
  }

  /// For gradients that are computed together.
  init(to inputs: [Tensor], _ gradients: @escaping @Sendable (_ upstream: Tensor) -> [Tensor?]) {
    self.init(to: inputs.map(\.history), gradients)
  }

  init(to inputs: [Node?], _ gradients: @escaping @Sendable (_ upstream: Tensor) -> [Tensor?]) {
    self.inputs = inputs
    add = { upstream, sums in
      for (index, part) in gradients(upstream).enumerated() { sums[index].add(part) }
    }
  }

  /// For ops that add to a sum as they compute.
  init(
    addingTo inputs: [Tensor], _ add: @escaping @Sendable (_ upstream: Tensor, _ sums: inout [Tensor?]) -> Void
  ) {
    self.inputs = inputs.map(\.history)
    self.add = add
  }
}

extension Tensor? {
  /// Adds numbers of the same shape: in place where nobody else holds these.
  mutating func add(_ other: Tensor?) {
    guard let other else { return }
    guard var sum = take() else { return self = other }
    if sum.isHeldAlone {
      sum.backend.combine(sum, 1, other, 1)
      self = sum
    } else {
      self = sum.backend.add(sum, other)
    }
  }

  /// Takes these numbers out, to be changed in place: nobody else holds what is given.
  mutating func takeAlone() -> Tensor? {
    guard var tensor = take() else { return nil }
    return tensor.isHeldAlone ? tensor : tensor.backend.scale(tensor, by: 1)
  }
}

extension Tensor {
  /// Whether ops on this tensor record how to find its gradient.
  public var needsGradient: Bool { history != nil }

  /// The same numbers as a leaf: ``gradients(upstream:)`` of what is computed from it gives its gradient.
  /// - Precondition: `f32` in rows; the numbers of other formats cannot be moved along a gradient.
  public func requiringGradient() -> Tensor {
    precondition(dataType == .f32 && layout == .rows, "a gradient is taken with respect to f32 numbers in rows")
    return with(Node([]))
  }

  /// The same numbers as a constant.
  public func withoutGradient() -> Tensor { with(nil) }

  /// How a gradient comes to these numbers: they are computed again where that is cheap, otherwise kept.
  var again: @Sendable () -> Tensor {
    if let again = history?.again { return again }
    let kept = with(nil)
    return { kept }
  }

  /// This result of an op, with its history. Pullbacks to inputs that need no gradient are dropped here, and with them
  /// the activations that they captured.
  /// - Parameter again: see ``Node/again``.
  func recorded(_ pullbacks: [Pullback], again: (@Sendable () -> Tensor)? = nil) -> Tensor {
    with(Node(pullbacks.filter { !$0.nodes.isEmpty }, again: again))
  }
}

/// A value that is computed when it is first asked for, for all who ask.
final class Lazy<Value: Sendable>: Sendable {
  private let found = Mutex<Value?>(nil)
  private let compute: @Sendable () -> Value

  init(_ compute: @escaping @Sendable () -> Value) { self.compute = compute }

  var value: Value {
    found.withLock { found in
      let value = found ?? compute()
      found = value
      return value
    }
  }

  /// The value, which is let go: whoever asks after this has it computed again.
  func take() -> Value { found.withLock { $0.take() } ?? compute() }
}
