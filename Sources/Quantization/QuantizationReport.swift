// What became of a model, for people and for programs.
import Checkpoints
import Tensors

/// A file before and after it was quantized.
public struct QuantizationReport: Sendable, Codable {
  /// Tensors of one format.
  public struct FormatUse: Sendable, Codable {
    public var format: String
    public var tensors, elements, bytes: Int
  }

  /// Tensors that could not have the format that was wanted.
  public struct Fallback: Sendable, Codable {
    public var wanted, given: String
    public var tensors: Int
    /// One of them, and the length of its rows.
    public var example: String
    public var columns: Int
  }

  public var type: QuantizationType
  public var source, target: [FormatUse]
  public var fallbacks: [Fallback]
  public var sourceBytes, targetBytes: Int
  public var elements: Int
  public var bitsPerWeight: Double
  /// Whether columns were weighed.
  public var isCalibrated: Bool
  public var seconds: Double
  /// What the file lost; nil where nothing was measured.
  public var divergence: Divergence?

  public init(_ quantizer: Quantizer, seconds: Double, divergence: Divergence?) {
    type = quantizer.options.type
    source = Self.uses(quantizer.plans.map { ($0.tensor.dataType, $0.tensor.elementCount) })
    target = Self.uses(quantizer.plans.map { ($0.dataType, $0.tensor.elementCount) })
    sourceBytes = source.reduce(0) { $0 + $1.bytes }
    targetBytes = target.reduce(0) { $0 + $1.bytes }
    elements = target.reduce(0) { $0 + $1.elements }
    bitsPerWeight = elements > 0 ? Double(targetBytes) * 8 / Double(elements) : 0
    isCalibrated = quantizer.options.importance != nil
    self.seconds = seconds
    self.divergence = divergence
    var fallbacks: [Fallback] = []
    for plan in quantizer.plans {
      guard let wanted = plan.wanted else { continue }
      let names = (wanted.name, plan.dataType.name)
      if let index = fallbacks.firstIndex(where: { ($0.wanted, $0.given) == names }) {
        fallbacks[index].tensors += 1
      } else {
        fallbacks.append(Fallback(
          wanted: names.0, given: names.1, tensors: 1, example: plan.tensor.name, columns: plan.tensor.columns))
      }
    }
    self.fallbacks = fallbacks
  }

  private static func uses(_ tensors: [(DataType, Int)]) -> [FormatUse] {
    var uses: [FormatUse] = []
    for (type, elements) in tensors {
      let index = uses.firstIndex { $0.format == type.name } ?? uses.count
      if index == uses.count { uses.append(FormatUse(format: type.name, tensors: 0, elements: 0, bytes: 0)) }
      uses[index].tensors += 1
      uses[index].elements += elements
      uses[index].bytes += type.bytes(forElements: elements) ?? 0
    }
    return uses.sorted { $0.bytes > $1.bytes }
  }
}
