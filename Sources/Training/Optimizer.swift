// How gradients change parameters.
import Tensors

/// What an optimizer remembers and does. Parameters change in place.
public protocol Optimizer: AnyObject {
  /// One step.
  /// - Parameters:
  ///   - factor: what gradients are multiplied with first.
  ///   - rateFactor: what the learning rate is multiplied with.
  func step(_ gradients: Gradients, factor: Float, rateFactor: Float)

  /// Everything it remembers, by name, in an order of its own; written and read back in place.
  var state: [(name: String, tensor: Tensor)] { get }
  /// Steps done.
  var steps: Int { get set }
}

/// Numbers that choose an optimizer.
public struct OptimizerOptions: Sendable {
  public enum Kind: String, Sendable, CaseIterable {
    /// Loshchilov and Hutter 2019.
    case adamw
    /// Jordan et al. 2024: for the matrices within layers; AdamW for the rest.
    case muon
  }

  public var kind = Kind.adamw
  public var learningRate: Float = 3e-4
  public var weightDecay: Float = 0.1
  public var beta1: Float = 0.9
  public var beta2: Float = 0.95
  public var epsilon: Float = 1e-8
  /// Of Muon's matrices.
  public var muonLearningRate: Float = 0.02
  public var momentum: Float = 0.95

  public init() {}

  public func optimizer(of parameters: [TrainedParameter]) -> any Optimizer {
    switch kind {
    case .adamw: AdamW(parameters, self)
    case .muon: Muon(parameters, self)
    }
  }
}

/// Adam with decay apart from the gradient.
public final class AdamW: Optimizer {
  private let parameters: [TrainedParameter]
  private let options: OptimizerOptions
  private let means, squares: [Tensor]
  public var steps = 0

  public init(_ parameters: [TrainedParameter], _ options: OptimizerOptions) {
    self.parameters = parameters
    self.options = options
    means = parameters.map { Tensor(zeros: $0.tensor.shape, backend: $0.tensor.backend) }
    squares = parameters.map { Tensor(zeros: $0.tensor.shape, backend: $0.tensor.backend) }
  }

  public func step(_ gradients: Gradients, factor: Float, rateFactor: Float) {
    steps += 1
    for (index, parameter) in parameters.enumerated() {
      guard let gradient = gradients[parameter.tensor] else { continue }
      let step = AdamStep(
        step: steps, learningRate: options.learningRate * rateFactor, beta1: options.beta1, beta2: options.beta2,
        epsilon: options.epsilon, weightDecay: parameter.decays ? options.weightDecay : 0, gradientFactor: factor)
      gradient.backend.adamStep(
        step, gradient: gradient, weight: parameter.tensor, mean: means[index], square: squares[index])
    }
  }

  public var state: [(name: String, tensor: Tensor)] {
    parameters.indices.flatMap {
      [(parameters[$0].path + ".mean", means[$0]), (parameters[$0].path + ".square", squares[$0])]
    }
  }
}

/// Momentum whose matrices are brought near to orthogonal ones: every direction is learnt alike.
public final class Muon: Optimizer {
  private let matrices: [TrainedParameter]
  private let momenta: [Tensor]
  private let rest: AdamW
  private let options: OptimizerOptions

  public init(_ parameters: [TrainedParameter], _ options: OptimizerOptions) {
    let isHidden = { (parameter: TrainedParameter) in
      parameter.tensor.shape.rank == 2 && parameter.role == .matrix && parameter.path.contains("layers.")
    }
    matrices = parameters.filter(isHidden)
    momenta = matrices.map { Tensor(zeros: $0.tensor.shape, backend: $0.tensor.backend) }
    rest = AdamW(parameters.filter { !isHidden($0) }, options)
    self.options = options
  }

  public var steps: Int {
    get { rest.steps }
    set { rest.steps = newValue }
  }

  public func step(_ gradients: Gradients, factor: Float, rateFactor: Float) {
    rest.step(gradients, factor: factor, rateFactor: rateFactor)
    let rate = options.muonLearningRate * rateFactor
    for (parameter, momentum) in zip(matrices, momenta) {
      guard let gradient = gradients[parameter.tensor] else { continue }
      let backend = gradient.backend
      backend.combine(momentum, options.momentum, gradient, factor)
      // Nesterov's: where the momentum will be.
      let ahead = backend.add(backend.scale(gradient, by: factor), backend.scale(momentum, by: options.momentum))
      let shape = ahead.shape, update = Self.orthogonal(ahead)
      let scale = max(1, Float(shape.rows) / Float(shape.columns)).squareRoot()
      backend.combine(parameter.tensor, 1 - rate * options.weightDecay, update, -rate * scale)
    }
  }

  /// The nearest matrix whose singular values are about 1: five rounds of Newton and Schulz's iteration with the
  /// coefficients of Jordan et al.
  static func orthogonal(_ gradient: Tensor) -> Tensor {
    let backend = gradient.backend
    let isTall = gradient.shape.rows > gradient.shape.columns
    var x = isTall ? backend.transpose(gradient) : gradient
    x = backend.scale(x, by: Float(1 / (backend.sumOfSquares(x).squareRoot() + 1e-7)))
    for _ in 0..<5 {
      let a = backend.products(x, [x])[0], square = backend.products(a, [a])[0]
      let b = backend.add(backend.scale(a, by: -4.7750), backend.scale(square, by: 2.0315))
      // b · x, as a gradient has it: b `[r, r]` times a weight `[r, c]`.
      x = backend.inputGradient(b, weight: x, adding: backend.scale(x, by: 3.4445))
    }
    return isTall ? backend.transpose(x) : x
  }

  public var state: [(name: String, tensor: Tensor)] {
    zip(matrices, momenta).map { ($0.path + ".momentum", $1) } + rest.state
  }
}
