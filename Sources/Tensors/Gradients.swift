// The walk from a result back to the leaves (reverse-mode differentiation, Linnainmaa 1970).

/// The gradients that a walk found, by leaf.
public struct Gradients: Sendable {
  private var found: [Identity: Tensor] = [:]
  /// In the order of the walk.
  private(set) var nodes: [Node] = []

  /// The gradient with respect to `leaf`, in its shape; nil when `leaf` is none, or had no part in the result.
  public subscript(leaf: Tensor) -> Tensor? { leaf.history.flatMap { self[$0] } }

  subscript(leaf: Node) -> Tensor? { found[Identity(node: leaf)] }

  /// Leaves that have a gradient.
  public var count: Int { found.count }

  /// The sums of what two walks found for the same leaves.
  public static func + (one: Gradients, other: Gradients) -> Gradients {
    var sum = one
    for node in other.nodes {
      guard let gradient = other[node] else { continue }
      let leaf = Identity(node: node)
      if let own = sum.found[leaf] {
        sum.found[leaf] = own.backend.add(own, gradient)
      } else {
        sum.set(gradient, of: leaf)
      }
    }
    return sum
  }

  fileprivate init() {}

  fileprivate mutating func set(_ gradient: Tensor, of leaf: Identity) {
    found[leaf] = gradient
    nodes.append(leaf.node)
  }
}

/// A node as a key. It holds the node, whose address could otherwise become another's.
private struct Identity: Hashable, Sendable {
  let node: Node

  static func == (left: Identity, right: Identity) -> Bool { left.node === right.node }

  func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(node)) }
}

extension Tensor {
  /// The gradients of Σ upstream × self with respect to the leaves that this tensor was computed from; empty when it
  /// was computed from none.
  ///
  /// Bits depend on the computation alone: each op is visited once, after all that used its result, and what they say
  /// is added up in the order of the visits. The walk may be repeated; what it needs stays in memory as long as this
  /// tensor or another one that was computed from the same leaves.
  ///
  /// - Parameter upstream: a factor for each element, in this tensor's shape; nil for a tensor of one element means 1.
  /// - Precondition: this tensor has one element, or `upstream` its shape.
  public func gradients(upstream: Tensor? = nil) -> Gradients {
    var result = Gradients()
    guard let history else { return result }
    precondition(upstream.map { $0.shape == shape } ?? (shape.count == 1), "a gradient starts from \(shape) factors")
    let root = Identity(node: history)
    var received = [root: upstream ?? Tensor([1], shape: shape, backend: backend)]
    var order = root.inputsFirst()
    while let identity = order.popLast() {
      guard let gradient = received.removeValue(forKey: identity) else { continue }
      if identity.node.pullbacks.isEmpty { result.set(gradient, of: identity) }
      for pullback in identity.node.pullbacks {
        for (input, part) in zip(pullback.inputs, pullback.gradients(gradient)) {
          guard let part, let key = input.map(Identity.init) else { continue }
          received[key] = received[key].map { backend.add($0, part) } ?? part
        }
      }
    }
    return result
  }
}

extension Tensor {
  /// The leaves that this tensor was computed from.
  var leaves: [Node] { (history.map { Identity(node: $0).inputsFirst() } ?? []).map(\.node).filter(\.pullbacks.isEmpty) }
}

extension Identity {
  /// All nodes that this one was computed from, itself last, each after its inputs.
  fileprivate func inputsFirst() -> [Identity] {
    var order: [Identity] = [], seen: Set<Identity> = [self]
    // A node with those of its inputs that were not yet looked at.
    var path = [(identity: self, rest: node.pullbacks.flatMap(\.nodes))]
    while let last = path.indices.last {
      if let next = path[last].rest.popLast() {
        let identity = Identity(node: next)
        if seen.insert(identity).inserted { path.append((identity, next.pullbacks.flatMap(\.nodes))) }
      } else {
        order.append(path.removeLast().identity)
      }
    }
    return order
  }
}
