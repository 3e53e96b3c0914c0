// Which numbers of a model are trained: leaves of the gradient, changed in place by the optimizer.
import Layers
import Tensors

/// A parameter that is trained. Its numbers are the model's: a step changes them in place.
public struct TrainedParameter: Sendable {
  /// Where it is in the model, such as `layers.3.attention.query`.
  public let path: String
  public let role: ParameterRole
  /// `f32`, in rows; a leaf of the gradient.
  public let tensor: Tensor

  /// Whether weight decay pulls it towards zero: matrices, not the factors of norms and biases.
  public var decays: Bool { tensor.shape.rank > 1 && role != .vector }
}

extension Module {
  /// Makes leaves of the parameters that are to be trained; each gets `f32` numbers of its own, so that other models
  /// which share the weights are left as they are.
  /// - Returns: them, in the order of the visit.
  public mutating func train(
    where isTrained: (ModulePath, ParameterRole) -> Bool = { _, _ in true }
  ) throws -> [TrainedParameter] {
    try withoutActuallyEscaping(isTrained) { isTrained in
      let selector = Selector(isTrained)
      try visit(selector, at: ModulePath())
      return selector.found
    }
  }

  /// The same numbers as constants: what is computed from them is not recorded.
  public func withoutGradients() -> Self {
    var copy = self
    try? copy.visit(Constants(), at: ModulePath())  // which throws nothing
    return copy
  }

  /// The model as it is used: matrices laid out for products, no gradients. Shares what was not trained.
  public func prepared() throws -> Self {
    var copy = self
    try copy.visit(Preparation(), at: ModulePath())
    return copy
  }
}

private final class Selector: ModuleVisitor {
  private let isTrained: (ModulePath, ParameterRole) -> Bool
  var found: [TrainedParameter] = []

  init(_ isTrained: @escaping (ModulePath, ParameterRole) -> Bool) {
    self.isTrained = isTrained
  }

  func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) throws {
    guard isTrained(path, role) else { return }
    parameter = try parameter.backend.floats(parameter).copied().requiringGradient()
    found.append(TrainedParameter(path: path.description, role: role, tensor: parameter))
  }
}

private final class Constants: ModuleVisitor {
  func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) {
    if parameter.needsGradient { parameter = parameter.withoutGradient() }
  }
}

private final class Preparation: ModuleVisitor {
  func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) throws {
    guard parameter.needsGradient else { return }
    let numbers = try parameter.withoutGradient().copied()
    parameter = role == .vector ? numbers : try numbers.backend.prepare(numbers)
  }
}
