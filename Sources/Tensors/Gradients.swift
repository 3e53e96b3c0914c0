// The walk from a result back to the leaves (reverse-mode differentiation, Linnainmaa 1970).

/// The gradients that walks found, by leaf.
public struct Gradients: Sendable {
  private var places: [Identity: Int] = [:]
  /// In the order in which they were found first.
  private(set) var nodes: [Node] = []
  private var tensors: [Tensor?] = []

  /// Of no leaf yet.
  public init() {}

  /// The gradient with respect to `leaf`, in its shape; nil when `leaf` is none, or had no part in the result.
  public subscript(leaf: Tensor) -> Tensor? { leaf.history.flatMap { self[$0] } }

  subscript(leaf: Node) -> Tensor? { places[Identity(node: leaf)].flatMap { tensors[$0] } }

  /// Leaves that have a gradient.
  public var count: Int { tensors.count { $0 != nil } }

  /// Takes a gradient out.
  mutating func take(_ leaf: Node) -> Tensor? {
    guard let place = places[Identity(node: leaf)] else { return nil }
    return tensors[place].take()
  }

  fileprivate mutating func set(_ gradient: Tensor, of leaf: Identity) {
    if let place = places[leaf] { return tensors[place] = gradient }
    places[leaf] = nodes.count
    nodes.append(leaf.node)
    tensors.append(gradient)
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
  /// - Parameters:
  ///   - upstream: a factor for each element, in this tensor's shape; nil for a tensor of one element means 1.
  ///   - releasing: whether the walk is the only one, and what it needs goes as soon as it has been used.
  /// - Precondition: this tensor has one element, or `upstream` its shape.
  public func gradients(upstream: Tensor? = nil, releasing: Bool = false) -> Gradients {
    var sums = Gradients()
    addGradients(to: &sums, upstream: upstream, releasing: releasing)
    return sums
  }

  /// Adds ``gradients(upstream:releasing:)`` to what earlier walks found, in place where nobody else holds it.
  public func addGradients(to sums: inout Gradients, upstream: Tensor? = nil, releasing: Bool = false) {
    guard let history else { return }
    precondition(upstream.map { $0.shape == shape } ?? (shape.count == 1), "a gradient starts from \(shape) factors")
    let root = Identity(node: history)
    var order = root.inputsFirst(), received: [Identity: Tensor] = [:]
    for leaf in order where leaf.node.pullbacks.isEmpty { received[leaf] = sums.take(leaf.node) }
    received[root].add(upstream ?? Tensor([1], shape: shape, backend: backend))
    while let identity = order.popLast() {
      guard let gradient = received.removeValue(forKey: identity) else { continue }
      if identity.node.pullbacks.isEmpty { sums.set(gradient, of: identity) }
      for pullback in identity.node.pullbacks {
        let keys = pullback.inputs.map { $0.map(Identity.init) }
        var parts = keys.map { $0.flatMap { received.removeValue(forKey: $0) } }
        pullback.add(gradient, &parts)
        for (index, key) in keys.enumerated() {
          if let key, let part = parts[index].take() { received[key].add(part) }
        }
      }
      if releasing { identity.node.release() }
    }
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
