// One traversal for everything that is done to a model's parts: loading, counting, quantizing, adapting.
import Tensors

/// Where a part is in a model, such as `layers.3.attention.query`.
public struct ModulePath: Sendable, CustomStringConvertible {
  public private(set) var parts: [String] = []

  public init() {}

  public static func / (path: ModulePath, part: String) -> ModulePath {
    var longer = path
    longer.parts.append(part)
    return longer
  }

  public var description: String { parts.joined(separator: ".") }
}

/// What a parameter is for, which decides how it is best kept in memory.
public enum ParameterRole: Sendable {
  /// A matrix that activations are multiplied with.
  case matrix
  /// A matrix of which single rows are read.
  case lookup
  /// A vector such as a norm's factors.
  case vector
  /// Numbers that were added to a finished model in order to train them in its place: `f32` in rows while they are.
  case adapter
}

/// Something that is done to every part of a model. It may replace what it visits.
public protocol ModuleVisitor: AnyObject {
  /// - Parameter parameter: holds its expected shape; before loading it holds nothing else.
  func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) throws

  /// A slot for a projection. The default visits the projection's own parts.
  func visit(_ projection: inout any Projection, at path: ModulePath) throws
}

extension ModuleVisitor {
  public func visit(_ projection: inout any Projection, at path: ModulePath) throws {
    try projection.visit(self, at: path)
  }

  /// A parameter that may be absent.
  public func visit(_ parameter: inout Tensor?, role: ParameterRole, at path: ModulePath) throws {
    guard var present = parameter else { return }
    try visit(&present, role: role, at: path)
    parameter = present
  }

  /// A part that may be absent.
  public func visit(_ part: inout (some Module)?, at path: ModulePath) throws {
    guard var present = part else { return }
    try present.visit(self, at: path)
    part = present
  }
}

/// A part of a model: a value that names its parts, once, for any visitor.
public protocol Module: Sendable {
  mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws
}

extension Tensor {
  /// A parameter that has a shape and no numbers yet.
  public static func parameter(_ shape: Shape, on backend: any Backend) -> Tensor {
    Tensor(storage: Storage(byteCount: 0), shape: shape, dataType: .f32, backend: backend)
  }
}
