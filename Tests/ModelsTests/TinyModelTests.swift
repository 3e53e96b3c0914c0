// Each family against transformers, with attention in plain f32: what differs here is a fault of the model's shape.
import Checkpoints
import Foundation
import Layers
import Models
import Tensors
import TestSupport
import Testing

@Suite struct TinyModelTests {
  @Test("Logits are those of transformers with every instruction set",
    arguments: InstructionSet.allCases.filter(\.isSupported), ReferenceModel.all)
  func instructionSets(_ instructionSet: InstructionSet, model: ReferenceModel) throws {
    let backend = CPUBackend(threads: 2, instructionSet: instructionSet)
    let decoder = try Decoder(GGUFFile(path: model.path), backend: backend)
    let logits = decoder.logits(decoder(ReferenceModel.tokens, PlainAttention(tokens: ReferenceModel.tokens.count)))
    #expect(logits.shape == [ReferenceModel.tokens.count, ReferenceModel.vocabulary])
    #expect(try relativeError(logits.values, model.logits()) <= 1e-5)
  }
}

/// Causal attention over one whole sequence, as its definition has it: no cache, no pages, no half precision.
private final class PlainAttention: AttentionContext {
  let positions: [Int32]

  init(tokens: Int) {
    positions = (0..<Int32(tokens)).map(\.self)
  }

  func attend(_ layer: AttentionLayer, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor {
    let tokens = queries.shape[0], heads = queries.shape[1], width = queries.shape[2]
    let keyValueHeads = keys.shape[1], group = heads / keyValueHeads
    let (q, k, v) = (queries.values, keys.values, values.values)
    var output = [Float](repeating: 0, count: q.count)
    for token in 0..<tokens {
      let first = layer.window.map { max(0, token + 1 - $0) } ?? 0
      for head in 0..<heads {
        let query = (token * heads + head) * width
        func place(_ other: Int) -> Int { (other * keyValueHeads + head / group) * width }
        let scores = (first...token).map { other in
          (0..<width).reduce(0) { $0 + q[query + $1] * k[place(other) + $1] } * layer.scale
        }
        let highest = scores.max() ?? 0, weights = scores.map { exp($0 - highest) }
        let sum = weights.reduce(0, +)
        for (other, weight) in zip(first...token, weights) {
          for i in 0..<width { output[query + i] += weight / sum * v[place(other) + i] }
        }
      }
    }
    return Tensor(output, shape: queries.shape, backend: queries.backend)
  }
}
