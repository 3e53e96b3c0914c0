// What the elements of a tensor are: plain numbers, or blocks of quantized ones as GGUF defines them.

/// The storage format of a tensor's elements.
///
/// Block formats pack `elementsPerBlock` neighbouring elements of a row into `bytesPerBlock` bytes, laid out as in
/// ggml (the format's specification is `ggml-common.h` of the ggml project).
public enum DataType: UInt8, Sendable, CaseIterable {
  case f32, f16, bf16
  case q4_0, q4_1, q5_0, q5_1, q8_0
  case q2_k, q3_k, q4_k, q5_k, q6_k
  case iq4_nl, iq4_xs

  /// Elements that share one block; 1 for plain numbers.
  public var elementsPerBlock: Int {
    switch self {
    case .f32, .f16, .bf16: 1
    case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .iq4_nl: 32
    case .q2_k, .q3_k, .q4_k, .q5_k, .q6_k, .iq4_xs: 256
    }
  }

  /// Bytes that one block takes.
  public var bytesPerBlock: Int {
    switch self {
    case .f32: 4
    case .f16, .bf16: 2
    case .q4_0, .iq4_nl: 18
    case .q4_1: 20
    case .q5_0: 22
    case .q5_1: 24
    case .q8_0: 34
    case .q2_k: 84
    case .q3_k: 110
    case .q4_k: 144
    case .q5_k: 176
    case .q6_k: 210
    case .iq4_xs: 136
    }
  }

  /// Whether elements are quantized in blocks.
  public var isQuantized: Bool { elementsPerBlock > 1 }

  /// The name used in file listings, such as `Q4_K`.
  public var name: String {
    switch self {
    case .f32: "F32"
    case .f16: "F16"
    case .bf16: "BF16"
    case .q4_0: "Q4_0"
    case .q4_1: "Q4_1"
    case .q5_0: "Q5_0"
    case .q5_1: "Q5_1"
    case .q8_0: "Q8_0"
    case .q2_k: "Q2_K"
    case .q3_k: "Q3_K"
    case .q4_k: "Q4_K"
    case .q5_k: "Q5_K"
    case .q6_k: "Q6_K"
    case .iq4_nl: "IQ4_NL"
    case .iq4_xs: "IQ4_XS"
    }
  }

  /// Bytes of a row of `elements`, or nil when the row does not end at a block boundary or the size overflows.
  public func bytes(forElements elements: Int) -> Int? {
    guard elements >= 0, elements % elementsPerBlock == 0 else { return nil }
    let (bytes, overflow) = (elements / elementsPerBlock).multipliedReportingOverflow(by: bytesPerBlock)
    return overflow ? nil : bytes
  }
}
