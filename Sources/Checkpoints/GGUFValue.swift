// What a GGUF file may say about itself: numbers, flags, text, and arrays of these.
import Tokenization

/// The type of a metadata value, numbered as in the GGUF specification.
public enum GGUFType: UInt32, Sendable {
  case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

  /// As used in messages: `u32`, `string`, `array`.
  public var name: String {
    switch self {
    case .uint8: "u8"
    case .int8: "i8"
    case .uint16: "u16"
    case .int16: "i16"
    case .uint32: "u32"
    case .int32: "i32"
    case .float32: "f32"
    case .bool: "bool"
    case .string: "string"
    case .array: "array"
    case .uint64: "u64"
    case .int64: "i64"
    case .float64: "f64"
    }
  }

  /// Bytes of one value; nil for strings and arrays, which say their length themselves.
  var byteCount: Int? {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64: 8
    case .string, .array: nil
    }
  }

  /// The fewest bytes that an element of this type takes in a file, by which counts are bounded.
  var smallestByteCount: Int { byteCount ?? (self == .string ? 8 : 12) }
}

/// A metadata value.
public enum GGUFValue: Sendable {
  case uint8(UInt8), int8(Int8), uint16(UInt16), int16(Int16), uint32(UInt32), int32(Int32)
  case uint64(UInt64), int64(Int64)
  case float32(Float), float64(Double)
  case bool(Bool)
  case string(String)
  case array(GGUFArray)

  public static func strings(_ strings: some Sequence<String>) -> GGUFValue {
    .array(GGUFArray(PackedStrings(strings)))
  }

  public var type: GGUFType {
    switch self {
    case .uint8: .uint8
    case .int8: .int8
    case .uint16: .uint16
    case .int16: .int16
    case .uint32: .uint32
    case .int32: .int32
    case .uint64: .uint64
    case .int64: .int64
    case .float32: .float32
    case .float64: .float64
    case .bool: .bool
    case .string: .string
    case .array: .array
    }
  }

  /// The number, if this is an integer of any width that an `Int` holds.
  public var integer: Int? {
    switch self {
    case .uint8(let value): Int(value)
    case .int8(let value): Int(value)
    case .uint16(let value): Int(value)
    case .int16(let value): Int(value)
    case .uint32(let value): Int(value)
    case .int32(let value): Int(value)
    case .uint64(let value): Int(exactly: value)
    case .int64(let value): Int(value)
    case .float32, .float64, .bool, .string, .array: nil
    }
  }

  /// The number, if this is a float or an integer.
  public var float: Double? {
    switch self {
    case .float32(let value): Double(value)
    case .float64(let value): value
    default: integer.map(Double.init)
    }
  }

  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var array: GGUFArray? { if case .array(let value) = self { value } else { nil } }

  /// What this is, for messages: `i32`, `array of string`.
  var typeName: String { array.map { "array of " + $0.elementType.name } ?? type.name }
}

/// A Swift type that GGUF stores as it is.
public protocol GGUFNumber: BitwiseCopyable, Sendable {
  static var ggufType: GGUFType { get }
}

extension UInt8: GGUFNumber { public static var ggufType: GGUFType { .uint8 } }
extension Int8: GGUFNumber { public static var ggufType: GGUFType { .int8 } }
extension UInt16: GGUFNumber { public static var ggufType: GGUFType { .uint16 } }
extension Int16: GGUFNumber { public static var ggufType: GGUFType { .int16 } }
extension UInt32: GGUFNumber { public static var ggufType: GGUFType { .uint32 } }
extension Int32: GGUFNumber { public static var ggufType: GGUFType { .int32 } }
extension UInt64: GGUFNumber { public static var ggufType: GGUFType { .uint64 } }
extension Int64: GGUFNumber { public static var ggufType: GGUFType { .int64 } }
extension Float: GGUFNumber { public static var ggufType: GGUFType { .float32 } }
extension Double: GGUFNumber { public static var ggufType: GGUFType { .float64 } }
