// GGUF numbers its tensor types; many of them Malmoi cannot compute with, and says so by name.
import Tensors

/// A tensor type's number in a GGUF file (`ggml_type` in ggml.h).
struct GGUFTensorType {
  let number: UInt32

  /// The element format, or nil for a type that Malmoi does not support.
  var dataType: DataType? { Self.supported[number] }

  init(number: UInt32) {
    self.number = number
  }

  init(_ dataType: DataType) {
    number =
      switch dataType {
      case .f32: 0
      case .f16: 1
      case .q4_0: 2
      case .q4_1: 3
      case .q5_0: 6
      case .q5_1: 7
      case .q8_0: 8
      case .q2_k: 10
      case .q3_k: 11
      case .q4_k: 12
      case .q5_k: 13
      case .q6_k: 14
      case .iq4_nl: 20
      case .iq4_xs: 23
      case .bf16: 30
      }
  }

  /// The name that ggml gives to this type, supported or not.
  var name: String { dataType?.name ?? Self.unsupportedNames[number] ?? "number \(number)" }

  private static let supported = Dictionary(
    uniqueKeysWithValues: DataType.allCases.map { (GGUFTensorType($0).number, $0) })

  private static let unsupportedNames: [UInt32: String] = [
    4: "Q4_2", 5: "Q4_3", 9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 21: "IQ3_S",
    22: "IQ2_S", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 31: "Q4_0_4_4", 32: "Q4_0_4_8",
    33: "Q4_0_8_8", 34: "TQ1_0", 35: "TQ2_0", 36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8", 39: "MXFP4",
    40: "NVFP4", 41: "Q1_0", 42: "Q2_0",
  ]
}
