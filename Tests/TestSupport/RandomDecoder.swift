// A small decoder with random block-quantized weights: it says nothing, but computes as a real one does.
import Foundation
import Layers
import Models
import Tensors

/// What a random decoder looks like; the defaults make one of two unlike layers.
public struct RandomDecoder {
  public var vocabulary = 300
  public var heads = 4
  public var keyValueHeads = 2
  public var headWidth = 32
  public var contextLength = 2048
  public var layers = 2
  public var isHeadTied = true
  public var seed: UInt64 = 1
  /// The formats of the matrices, taken in turn.
  public var types: [DataType] = [.q4_k, .q8_0, .q6_k, .q4_1, .f16, .q5_0, .iq4_xs, .q5_k]

  public init() {}

  public func make(backend: any Backend = CPUBackend.shared) throws -> Decoder {
    let frequencies = (0..<headWidth / 2).map { pow(10_000, -2 * Double($0) / Double(headWidth)) }
    let seesAll = LayerPositions(rotation: Rotation(frequencies: frequencies, pairing: .interleaved))
    let seesWindow = LayerPositions(
      rotation: Rotation(frequencies: frequencies.dropLast(headWidth / 8), pairing: .halves), window: 40)
    var layer = LayerConfiguration(
      width: 256, heads: heads, keyValueHeads: keyValueHeads, headWidth: headWidth, hiddenWidth: 512, normEpsilon: 1e-5)
    layer.activation = .geluTanh
    layer.headNorm = .shared
    let configuration = DecoderConfiguration(
      architecture: "random", vocabulary: vocabulary, contextLength: contextLength, layer: layer,
      isHeadTied: isHeadTied, positions: (0..<layers).map { $0 % 2 == 0 ? seesAll : seesWindow })
    var decoder = Decoder(configuration, backend: backend)
    try decoder.visit(Filler(self, backend: backend), at: ModulePath())
    return decoder
  }

  private final class Filler: ModuleVisitor {
    private var random: SeededRandom
    private let types: [DataType]
    private let backend: any Backend
    private var matrices = 0

    init(_ decoder: RandomDecoder, backend: any Backend) {
      random = SeededRandom(decoder.seed)
      types = decoder.types
      self.backend = backend
    }

    func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) throws {
      guard role != .vector else {
        parameter = Tensor(
          random.floats(parameter.shape.count, spread: 0.25).map { 1 + $0 }, shape: parameter.shape, backend: backend)
        return
      }
      // Outputs of about the size of the inputs; the format must divide the row.
      let columns = parameter.shape.columns, spread = 2 / Float(columns).squareRoot()
      var type = types[matrices % types.count]
      if columns % type.elementsPerBlock != 0 { type = .q8_0 }
      matrices += 1
      let stored = Tensor.random(parameter.shape, type: type, spread: spread, using: &random, backend: backend)
      parameter = role == .matrix ? try backend.prepare(stored) : stored
    }
  }
}
