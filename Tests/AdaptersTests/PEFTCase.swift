// Adapters that PEFT wrote, with the models that they are for and what PEFT says of a text.
import Adapters
import Checkpoints
import Foundation
import Layers
import Models
import Tensors
import TestSupport

/// One of the folders that Fixtures/adapters.py makes.
struct PEFTCase: CustomStringConvertible, Sendable {
  var name: String
  /// The model, of ModelsTests/Fixtures/families.
  var family: String
  var description: String { name }

  static let all = [
    ("llama-lora", "llama"), ("llama-lora-expression", "llama"), ("llama-lora-head", "llama"), ("llama-dora", "llama"),
    ("llama-ia3", "llama"), ("llama-prompt", "llama"), ("llama-prefix", "llama"), ("mistral-lora", "mistral"),
    ("mistral-prefix", "mistral"), ("gemma-prompt", "gemma"), ("neox-lora", "gpt_neox-parallel"),
    ("neox-dora", "gpt_neox-sequential"), ("neox-ia3", "gpt_neox-parallel"), ("neox-prefix", "gpt_neox-parallel"),
    ("gpt2-lora", "gpt2"), ("gpt2-dora", "gpt2"), ("gpt2-ia3", "gpt2"), ("gpt2-prompt", "gpt2"), ("gpt2-prefix", "gpt2"),
    ("phi3-lora", "phi3"), ("falcon-lora", "falcon-40b"), ("bert-lora", "bert-classes"), ("bert-ia3", "bert-classes"),
    ("bert-prompt", "bert-classes"), ("bert-prefix", "bert-classes"), ("roberta-lora", "roberta-classes"),
    ("modernbert-lora", "modernbert-classes"), ("t5-lora", "t5"), ("t5-ia3", "t5"), ("t5-prompt", "t5"),
    ("t5-prefix", "t5"),
  ].map { PEFTCase(name: $0.0, family: $0.1) }

  static func named(_ name: String) -> PEFTCase { all.first { $0.name == name } ?? PEFTCase(name: name, family: "llama") }

  var folder: String { fixtureURL("peft/\(name)").path }
  /// Where PEFT's gradients are, as if they were an adapter.
  var gradients: String { folder + "/gradients" }

  func checkpoint() throws -> any Checkpoint { try FamilyFixture(family).checkpoint }

  private func expected(_ name: String) throws -> SafetensorsTensor {
    try SafetensorsFile(path: folder + "/expected.safetensors").tensor(required: name)
  }

  func tokens(_ name: String = "tokens") throws -> [Int32] {
    let tensor = try expected(name)
    return withExtendedLifetime(tensor) {
      (0..<tensor.elementCount).map { tensor.bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self) }
    }
  }

  func logits() throws -> [Float] { try Tensor(expected("logits"), backend: CPUBackend.shared).copied().values }
}

/// A model that can be asked for the scores of a text, whatever its shape.
protocol AskableModel: AdaptableModel {
  init(_ checkpoint: any Checkpoint, backend: any Backend) throws
  /// Scores of a text's own tokens, or of its labels.
  func scores(_ tokens: [Int32], writing: [Int32]) -> Tensor
}

extension Decoder: AskableModel {
  func scores(_ tokens: [Int32], writing: [Int32]) -> Tensor {
    let virtual = virtualTokens, all = virtual + tokens
    let states = self(all, DenseContext(lengths: [all.count], isCausal: true))
    return logits(states.rows(at: (virtual.count..<all.count).map { Int32($0) }))
  }
}

extension Encoder: AskableModel {
  func scores(_ tokens: [Int32], writing: [Int32]) -> Tensor {
    let all = virtualTokens + tokens, states = self(all, lengths: [all.count])
    return labelScores(states, lengths: [all.count]) ?? states
  }
}

extension EncoderDecoder: AskableModel {
  func scores(_ tokens: [Int32], writing: [Int32]) -> Tensor {
    let read = virtualTokens + tokens, virtual = virtualDecoderTokens, written = virtual + writing
    let memory = EncoderMemory(
      layers: memory(encode(read, lengths: [read.count])),
      spans: [.init(queries: 0..<written.count, keys: 0..<read.count)])
    let context = DenseContext(lengths: [written.count], isCausal: true, relativeBias: decoder.relativeBias)
    let states = self(written, context, memory: memory)
    return logits(states.rows(at: (virtual.count..<written.count).map { Int32($0) }))
  }
}

extension PEFTCase {
  /// Calls `body` with the model's type, which only the checkpoint knows.
  func withModel<Result>(
    of checkpoint: any Checkpoint, _ body: (any AskableModel.Type) throws -> Result
  ) throws -> Result {
    switch try ModelRegistry.shape(of: checkpoint) {
    case .decoder: try body(Decoder.self)
    case .encoder: try body(Encoder.self)
    case .encoderDecoder: try body(EncoderDecoder.self)
    }
  }

  func scores(_ model: some AskableModel) throws -> [Float] {
    let written = family == "t5" ? try tokens("decoder_tokens") : []
    return model.scores(try tokens(), writing: written).values
  }
}
