// Tiny random models of every family, as Hugging Face saves them.
import Checkpoints
import Foundation
import Models

/// A tiny model of a family and what transformers made of two texts, made by Fixtures/families.py.
public struct FamilyFixture {
  public static let decoders = [
    "gpt2", "gpt2-openai", "gpt_neox-parallel", "gpt_neox-sequential", "gptj", "stablelm", "stablelm-parallel", "llama",
    "llama-biases", "llama-3", "mistral", "mixtral", "qwen2", "qwen2-sliding", "qwen3", "qwen3_moe", "qwen3_moe-step",
    "qwen3_moe-unnormed", "gemma", "gemma2", "gemma3", "gemma3-five", "phi3", "phi3-longrope", "olmo2", "falcon-7b",
    "falcon-40b", "exaone-3.5", "exaone4", "exaone4-full", "smollm3",
  ]
  public static let encoders = [
    "bert", "bert-bare", "bert-classes", "bert-cross", "roberta", "roberta-classes", "xlm-roberta", "distilbert",
    "distilbert-classes", "modernbert", "modernbert-classes", "modernbert-cross",
  ]
  public static let encoderDecoders = ["t5", "t5-gated", "mt5", "bart"]
  public static let all = decoders + encoders + encoderDecoders

  public let path: String
  public let checkpoint: any Checkpoint
  private let expected: SafetensorsFile

  public init(_ name: String) throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("ModelsTests/Fixtures/families").appendingPathComponent(name)
    path = folder.path
    checkpoint = try ModelRegistry.open(path)
    expected = try SafetensorsFile(path: folder.appendingPathComponent("expected.safetensors").path)
  }

  public func has(_ name: String) -> Bool { expected.tensor(name) != nil }

  public func tokens(_ name: String) throws -> [Int32] {
    let tensor = try expected.tensor(required: name)
    return (0..<tensor.elementCount).map {
      Int32(littleEndian: tensor.bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self))
    }
  }

  public func floats(_ name: String) throws -> [Float] {
    let tensor = try expected.tensor(required: name)
    return (0..<tensor.elementCount).map {
      Float(bitPattern: UInt32(littleEndian: tensor.bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)))
    }
  }
}
