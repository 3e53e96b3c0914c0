// The kinds of quantized files that people know by name, each a format and a habit of giving some tensors more bits.
import Tensors

/// What a file is quantized to: a format for most matrices, and whether some of them get a better one.
public enum QuantizationType: String, CaseIterable, Sendable, Codable {
  case q8_0, q6_k, q5_k_m, q5_k_s, q5_0, q5_1, q4_k_m, q4_k_s, q4_0, q4_1, q3_k_m, q2_k, iq4_nl, iq4_xs, f16, bf16, f32

  /// - Parameter name: in upper or lower case, `Q4_K_M`.
  public init?(named name: String) { self.init(rawValue: name.lowercased()) }

  /// The format of matrices that get no other.
  public var dataType: DataType {
    switch self {
    case .q8_0: .q8_0
    case .q6_k: .q6_k
    case .q5_k_m, .q5_k_s: .q5_k
    case .q5_0: .q5_0
    case .q5_1: .q5_1
    case .q4_k_m, .q4_k_s: .q4_k
    case .q4_0: .q4_0
    case .q4_1: .q4_1
    case .q3_k_m: .q3_k
    case .q2_k: .q2_k
    case .iq4_nl: .iq4_nl
    case .iq4_xs: .iq4_xs
    case .f16: .f16
    case .bf16: .bf16
    case .f32: .f32
    }
  }

  /// The number that GGUF's `general.file_type` has for it (`llama_ftype` in llama.h).
  public var fileType: UInt32 {
    switch self {
    case .f32: 0
    case .f16: 1
    case .q4_0: 2
    case .q4_1: 3
    case .q8_0: 7
    case .q5_0: 8
    case .q5_1: 9
    case .q2_k: 10
    case .q3_k_m: 12
    case .q4_k_s: 14
    case .q4_k_m: 15
    case .q5_k_s: 16
    case .q5_k_m: 17
    case .q6_k: 18
    case .iq4_nl: 25
    case .iq4_xs: 30
    case .bf16: 32
    }
  }
}

extension DataType {
  /// - Parameter name: in upper or lower case, `q6_k`.
  public init?(named name: String) {
    guard let type = Self.allCases.first(where: { $0.name.lowercased() == name.lowercased() }) else { return nil }
    self = type
  }

  /// What a tensor gets whose rows do not end at a block boundary of this format; nil if nothing smaller is there.
  var fallback: DataType? {
    switch self {
    case .iq4_xs: .iq4_nl
    case .q2_k, .q3_k: .q4_0
    case .q4_k: .q5_0
    case .q5_k: .q5_1
    case .q6_k: .q8_0
    case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .iq4_nl: .f16
    case .f32, .f16, .bf16: nil
    }
  }
}
