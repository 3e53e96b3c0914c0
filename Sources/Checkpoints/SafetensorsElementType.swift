// Safetensors names its element types; some of them Malmoi can only carry, not compute with.
import Tensors

/// The type of a tensor's elements in a safetensors file (`Dtype` of the safetensors library), by its name there.
///
/// Types whose elements are no whole bytes (`F4`, `F6_E2M3`, `F6_E3M2`) are not among them.
public enum SafetensorsElementType: String, Sendable, CaseIterable {
  // In the library's order, which decides the order of tensors in a file.
  case bool = "BOOL"
  case u8 = "U8"
  case i8 = "I8"
  case f8e5m2 = "F8_E5M2"
  case f8e4m3 = "F8_E4M3"
  case f8e8m0 = "F8_E8M0"
  case i16 = "I16"
  case u16 = "U16"
  case f16 = "F16"
  case bf16 = "BF16"
  case i32 = "I32"
  case u32 = "U32"
  case f32 = "F32"
  case c64 = "C64"
  case f64 = "F64"
  case i64 = "I64"
  case u64 = "U64"

  /// The type that holds numbers of `dataType`; nil for quantized blocks, which safetensors does not have.
  public init?(_ dataType: DataType) {
    switch dataType {
    case .f32: self = .f32
    case .f16: self = .f16
    case .bf16: self = .bf16
    default: return nil
    }
  }

  /// The format to compute with; nil for types that Malmoi does not compute with.
  public var dataType: DataType? {
    switch self {
    case .f32: .f32
    case .f16: .f16
    case .bf16: .bf16
    default: nil
    }
  }

  /// Bytes of one element.
  public var byteCount: Int {
    switch self {
    case .bool, .u8, .i8, .f8e5m2, .f8e4m3, .f8e8m0: 1
    case .i16, .u16, .f16, .bf16: 2
    case .i32, .u32, .f32: 4
    case .c64, .f64, .i64, .u64: 8
    }
  }

  /// Bytes of a tensor of this shape; nil if a length is negative or the product does not fit.
  func byteCount(of shape: [Int]) -> Int? {
    var product = byteCount
    for length in shape {
      let (next, overflow) = product.multipliedReportingOverflow(by: length)
      guard length >= 0, !overflow else { return nil }
      product = next
    }
    return product
  }
}
